"""Prometheus metrics of the parts that every process has, and the small HTTP server that shows a service's.

Metrics are declared in modules named `metrics.py` alone, one for each part of a process that counts something: this one,
`pkg/mq/metrics.py`, `pkg/media/metrics.py`, `services/actions/metrics.py`, `services/video/metrics.py`, `gateway/metrics.py`.
"""

import math
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from pkg.tracing.current import find_kept_trace_id

# 0.3 s is an objective of its own: see config/prometheus/.
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)
CALL_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

RPC_SERVED = Histogram(
    "dousheng_rpc_served_seconds",
    "Duration of RPCs that this process answered",
    ["method", "code"],
    buckets=REQUEST_BUCKETS,
)
RPC_CALLED = Histogram(
    "dousheng_rpc_called_seconds",
    "Duration of RPCs that this process made",
    ["method", "code"],
    buckets=REQUEST_BUCKETS,
)
RPC_INSTANCES = Gauge(
    "dousheng_rpc_instances", "Instances of a service that this process knows", ["service"]
)
DEPENDENCY_CALLS = Histogram(
    "dousheng_dependency_call_seconds",
    "Duration of what was asked of a server, waiting for a connection included",
    ["dependency", "operation", "outcome"],
    buckets=CALL_BUCKETS,
)
DEPENDENCY_RUNNING = Gauge(
    "dousheng_dependency_calls_running",
    "Calls of a server that have not ended, those that wait for a connection included",
    ["dependency"],
)
DEPENDENCY_WAITING = Gauge(
    "dousheng_dependency_calls_waiting", "Calls that wait for a connection", ["dependency"]
)
JOB_FAILURES = Counter("dousheng_job_failures_total", "Runs of a timed job that raised", ["job"])
LOOP_FAILURES = Counter(
    "dousheng_loop_failures_total", "Turns of a background loop that raised", ["loop"]
)
LOOP_LAG = Histogram(
    "dousheng_event_loop_lag_seconds",
    "How much later than planned the event loop ran a timer",
    buckets=LAG_BUCKETS,
)
SPOOL_FREE = Gauge(
    "dousheng_spool_free_bytes", "Free bytes of the disk on which uploads are spooled"
)
SPOOL_FREE.set(math.nan)  # Most processes spool nothing: 0 would be a full disk.
BUILD = Gauge(
    "dousheng_build_info", "1; the labels say what runs", ["process", "version", "python"]
)


def observe(histogram: Histogram, seconds: float, *labels: str) -> None:
    """Count one duration; where its trace is kept, the bucket names it."""
    trace_id = find_kept_trace_id()
    exemplar = {"trace_id": trace_id} if trace_id else None
    child_of(histogram, *labels).observe(seconds, exemplar)


@cache  # Label values are few, and looking a child up takes as long as counting.
def child_of(histogram: Histogram, *labels: str) -> Histogram:
    """Return the series of a histogram that has these label values."""
    return histogram.labels(*labels) if labels else histogram


def tell_build(process: str) -> None:
    """Let the metrics say which release of which process this is."""
    try:
        release = version("dousheng")
    except PackageNotFoundError:
        release = "checkout"  # It runs from its source.
    BUILD.labels(process, release, platform.python_version()).set(1)


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
