"""What Prometheus hears of HTTP."""

from prometheus_client import Counter, Gauge, Histogram

from pkg.metrics import REQUEST_BUCKETS

HTTP_SERVED = Histogram(
    "dousheng_http_served_seconds",
    "Duration of HTTP requests, by route template and status",
    ["method", "route", "status"],
    buckets=REQUEST_BUCKETS,
)
WEBSOCKETS = Gauge("dousheng_websockets", "Open WebSockets")
RATE_LIMITED = Counter("dousheng_rate_limited_total", "Requests refused by a limit", ["limit"])
