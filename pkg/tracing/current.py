"""What belongs to the trace of this moment: its steps, and what it is called elsewhere."""

from pkg.tracing.context import TraceContext, call_span_id
from pkg.tracing.spans import NO_ATTRIBUTES, NO_SPAN, Attributes, Kind, Root, Span, current_span
from pkg.tracing.steps import CallStep, LateStep, Step


def child(name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NO_ATTRIBUTES) -> Span:
    """Return a step of what is traced at the moment, if anything is: a block.

    In a request that was not drawn, brief ones that did not fail are left out.
    """
    parent = current_span.get()
    if parent is None:
        return NO_SPAN
    if isinstance(parent, Root) and not parent.is_whole:
        return LateStep(parent, name, kind, attributes)
    return begin_child(name, kind, attributes)


def begin_child(
    name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NO_ATTRIBUTES
) -> Span:
    """Begin a step that somebody ends by `end`: it is seen even if nobody does."""
    parent = current_span.get()
    if parent is None or not parent.root.has_room():
        return NO_SPAN
    step = Step(parent, name, kind, attributes)
    parent.root.add(step)
    return step


def record_call(
    method: str,
    began_ns: int,
    ended_ns: int,
    *,
    attributes: Attributes = NO_ATTRIBUTES,
    error: str | None = None,
) -> None:
    """Record the call of a method in another process, which has ended, as a step of what is traced at the moment.

    What `child` leaves out, this leaves out, too.

    Args:
        began_ns: by `perf_counter_ns`, as `ended_ns`.
        error: why it failed, if it did.
    """
    parent = current_span.get()
    if parent is None:
        return
    if (
        isinstance(parent, Root)
        and not parent.is_whole
        and error is None
        and ended_ns - began_ns < parent.recorder.brief_ns
    ):
        parent.left_out += 1
    elif parent.root.has_room():
        call = CallStep(parent, method, attributes, began_ns=began_ns, ended_ns=ended_ns)
        call.error = error
        parent.root.add(call)


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
    return span is None or (not span.is_whole and span.trace_id == request_id)


def find_kept_trace_id() -> str | None:
    """Return the id of the trace of this moment where it is kept for certain: what a metric may name as an example."""
    span = current_span.get()
    if span is None or not span.is_whole:
        return None
    return span.trace_id if span.root.is_sampled else None
