"""Traces by OpenTelemetry: which steps a request took, in which processes, and how long each.

Whoever owns a driver surrounds its calls with `child`, or tells of those of our services by `record_call`; whoever receives work begins with `begin_request`, `begin_batch` or `begin_job`.
While tracing is off, or outside of anything that is traced, all of them return the same object, which does nothing.
"""

from pkg.tracing.context import TRACEPARENT, is_sampled, is_trace_id, new_trace_id
from pkg.tracing.current import (
    begin_child,
    child,
    current_call_traceparent,
    current_trace_id,
    current_traceparent,
    find_kept_trace_id,
    is_known_by,
    record_call,
)
from pkg.tracing.recorder import begin_batch, begin_job, begin_request, is_tracing, tracing
from pkg.tracing.settings import TracingSettings
from pkg.tracing.spans import NO_SPAN, Kind, Span

__all__ = [
    "NO_SPAN",
    "TRACEPARENT",
    "Kind",
    "Span",
    "TracingSettings",
    "begin_batch",
    "begin_child",
    "begin_job",
    "begin_request",
    "child",
    "current_call_traceparent",
    "current_trace_id",
    "current_traceparent",
    "find_kept_trace_id",
    "is_known_by",
    "is_sampled",
    "is_trace_id",
    "is_tracing",
    "new_trace_id",
    "record_call",
    "tracing",
]
