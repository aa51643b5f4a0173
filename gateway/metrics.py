"""What Prometheus hears of HTTP."""

from prometheus_client import Counter, Histogram

HTTP_SERVED = Histogram(
    "dousheng_http_served_seconds",
    "Duration of HTTP requests, by route template and status",
    ["method", "route", "status"],
)
RATE_LIMITED = Counter("dousheng_rate_limited_total", "Requests refused by a limit", ["limit"])
