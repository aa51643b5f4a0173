"""What belongs to the trace of this moment: its steps, and what it is called elsewhere."""

from time import perf_counter_ns

from pkg.tracing.context import TraceContext, call_span_id
from pkg.tracing.spans import (
    NO_ATTRIBUTES,
    NO_SPAN,
    Attributes,
    CallStep,
    Kind,
    Root,
    Span,
    Step,
    current_span,
)

MOST_STEPS = 200  # below one root: a WebSocket lives for an hour
BRIEF_PART = 10  # calls that took less than this part of what is slow explain nothing


def child(name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NO_ATTRIBUTES) -> Span:
    """Begin a step of what is traced at the moment, if anything is."""
    parent = current_span.get()
    if parent is None or not _has_room(parent.root):
        return NO_SPAN
    step = Step(parent, name, kind, attributes)
    parent.root.steps.append(step)
    return step


def record_call(
    method: str, *, began_ns: int, attributes: Attributes = NO_ATTRIBUTES, error: str | None = None
) -> None:
    """Record the call of a method in another process, which ends now, as a step of what is traced at the moment.

    Brief ones that did not fail are left out where the trace was not drawn.

    Args:
        began_ns: by `perf_counter_ns`.
        error: why it failed, if it did.
    """
    parent = current_span.get()
    if parent is None:
        return
    root, ended_ns = parent.root, perf_counter_ns()
    is_brief = (ended_ns - began_ns) * BRIEF_PART < root.recorder.slow_after_ns
    if (is_brief and error is None and not root.is_sampled) or not _has_room(root):
        return
    call = CallStep(parent, method, attributes, began_ns=began_ns, ended_ns=ended_ns)
    call.error = error
    root.steps.append(call)


def _has_room(root: Root) -> bool:
    """Tell whether a step is recorded that goes on at the moment."""
    if root.ended_ns:
        return False
    if len(root.steps) >= MOST_STEPS:
        root.left_out += 1
        return False
    return True


def current_trace_id() -> str | None:
    """Return the id of the trace of this moment, whether it will be kept or not."""
    span = current_span.get()
    return span.trace_id if span is not None else None


def current_traceparent() -> str | None:
    """Return what a message to another process says of the trace of this moment."""
    span = current_span.get()
    return span.context.format() if span is not None else None


def current_call_traceparent(method: str) -> str | None:
    """Return what a call of a method in another process says of the trace of this moment."""
    span = current_span.get()
    if span is None:
        return None
    called_by = call_span_id(span.trace_id, method)
    return TraceContext(span.trace_id, called_by, span.root.is_sampled).format()


def is_known_by(request_id: str) -> bool:
    """Tell whether a call says all of the trace of this moment by its request id: there is none, or it is the same and was not drawn."""
    span = current_span.get()
    return span is None or (span.trace_id == request_id and not span.root.is_sampled)


def find_kept_trace_id() -> str | None:
    """Return the id of the trace of this moment where it is kept for certain: what a metric may name as an example."""
    span = current_span.get()
    return span.trace_id if span is not None and span.root.is_sampled else None
