"""Traces by OpenTelemetry: which steps a request took, in which processes, and how long each.

Whoever receives work begins with a `RequestSpan`, `begin_batch` or `begin_job`; whoever owns a driver surrounds its calls with `child`, or
tells of those of our services by `record_call`. While tracing is off, or outside of anything that is traced, they return an object that does
nothing.
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
from pkg.tracing.recorder import RequestSpan, begin_batch, begin_job, is_tracing, tracing
from pkg.tracing.settings import TracingSettings
from pkg.tracing.spans import NO_SPAN, Kind, Span

__all__ = [
    "NO_SPAN",
    "TRACEPARENT",
    "Kind",
    "RequestSpan",
    "Span",
    "TracingSettings",
    "begin_batch",
    "begin_child",
    "begin_job",
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
