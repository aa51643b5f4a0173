"""Prometheus metrics of the parts that every process has, and the small HTTP server that shows a service's.

Metrics are declared in modules named `metrics.py` alone, one for each part of a process that counts something: this one,
`pkg/mq/metrics.py`, `services/actions/metrics.py`, `gateway/metrics.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, start_http_server

RPC_SERVED = Histogram(
    "dousheng_rpc_served_seconds", "Duration of RPCs that this process answered", ["method", "code"]
)
RPC_CALLED = Histogram(
    "dousheng_rpc_called_seconds", "Duration of RPCs that this process made", ["method", "code"]
)
RPC_INSTANCES = Gauge(
    "dousheng_rpc_instances", "Instances of a service that this process knows", ["service"]
)
JOB_FAILURES = Counter("dousheng_job_failures_total", "Runs of a timed job that raised", ["job"])
LOOP_FAILURES = Counter(
    "dousheng_loop_failures_total", "Turns of a background loop that raised", ["loop"]
)


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
