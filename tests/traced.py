"""Requests that a test traces, without a gateway or a service."""

from pkg.tracing import Kind, RequestSpan


def begin_request(
    name: str,
    trace_id: str,
    *,
    traceparent: str | None = None,
    is_ever_slow: bool = True,
) -> RequestSpan:
    """Return a request that has begun, if this process traces."""
    request = RequestSpan(name, Kind.SERVER, {})
    request.begin_request(trace_id, traceparent)
    request.is_ever_slow = is_ever_slow
    return request
