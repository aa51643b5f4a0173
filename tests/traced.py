"""Traces without a gateway, a service or a receiver: requests, and what a process would send."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from types import SimpleNamespace

from pkg.tracing import Kind, RequestSpan, TracingSettings
from pkg.tracing.recorder import recording
from pkg.tracing.spans import Root, current_span

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-00"
HOUR_S = 3600


class Kept:
    """What a process would send."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self.errors: list[list[str | None]] = []
        self.links: list[list[str]] = []
        self.left_out = 0
        self.parts: list[SimpleNamespace] = []

    def __call__(self, root: Root) -> None:
        self.parts.append(SimpleNamespace(trace_id=root.trace_id, spans=list(root.spans)))
        self.names.append([span.name for span in root.spans])
        self.errors.append([span.error for span in root.spans])
        self.links.append([link.trace_id for span in root.spans for link in span.links])
        self.left_out += root.left_out


def record(kept: Kept, *, ratio: float = 0.0, slow_s: float = HOUR_S):
    settings = TracingSettings(sample_ratio=ratio, slow_s=slow_s, timeout_s=1)
    return recording(settings, kept)


def wait_ms(duration: int) -> None:
    """Be busy for so long, by the recorder's clock."""
    until = perf_counter_ns() + duration * 1_000_000
    while perf_counter_ns() < until:
        pass


@contextmanager
def a_request(
    name: str,
    trace_id: str,
    *,
    traceparent: str | None = None,
    is_ever_slow: bool = True,
    made_as: type[RequestSpan] = RequestSpan,
) -> Iterator[RequestSpan]:
    """Give a request that has begun, if this process traces; it ends with the block."""
    before = current_span.set(None)  # The test's own task goes on after it.
    request = made_as(name, Kind.SERVER, {})
    request.begin_request(trace_id, traceparent)
    request.is_ever_slow = is_ever_slow
    try:
        yield request
    finally:
        if request.is_recording:
            request.end()
        current_span.reset(before)
