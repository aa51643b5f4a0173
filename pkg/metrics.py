"""Prometheus metrics that every process has, and the small HTTP server that shows a service's."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram, start_http_server

RPC_SERVED = Histogram(
    "dousheng_rpc_served_seconds", "RPCs answered by this process", ["method", "code"]
)
RPC_CALLED = Histogram(
    "dousheng_rpc_called_seconds", "RPCs made by this process", ["method", "code"]
)
HTTP_SERVED = Histogram(
    "dousheng_http_served_seconds",
    "HTTP requests answered, by route template and status",
    ["method", "route", "status"],
)
RATE_LIMITED = Counter("dousheng_rate_limited_total", "Requests refused by a limit", ["limit"])


@contextmanager
def metrics_server(host: str, port: int) -> Iterator[None]:
    """Serve `/metrics` of this process on a thread of its own."""
    server, thread = start_http_server(port, addr=host)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
