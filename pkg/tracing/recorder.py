"""Whether this process traces, and what each piece of work begins with."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from pkg.tracing.context import TraceContext, is_trace_id, new_trace_id
from pkg.tracing.settings import TracingSettings
from pkg.tracing.spans import (
    NO_ATTRIBUTES,
    NO_SPAN,
    Attributes,
    Errand,
    Job,
    Keep,
    Kind,
    Recorder,
    Request,
    Root,
    Span,
)

# One for a process, as the set-up of its logs is.
_recorder: Recorder | None = None


@contextmanager
def recording(settings: TracingSettings, keep: Keep) -> Iterator[None]:
    """Record in this process while the block runs."""
    global _recorder  # noqa: PLW0603
    _recorder = Recorder(settings.sample_ratio, int(settings.slow_s * 1e9), keep)
    try:
        yield
    finally:
        _recorder = None


@contextmanager
def tracing(settings: TracingSettings, *, process: str) -> Iterator[None]:
    """Trace this process while the block runs, if the settings name an endpoint; then send what is left, within `timeout_s`."""
    if settings.endpoint is None:
        yield
        return
    # Half a second of imports that nobody else needs.
    from pkg.tracing.sending import SpanSender  # noqa: PLC0415

    with SpanSender(settings, process=process) as sender, recording(settings, sender.keep):
        yield


def is_tracing() -> bool:
    """Tell whether this process traces, for those who would have to prepare."""
    return _recorder is not None


def begin_request(
    name: str,
    *,
    traceparent: str | None,
    trace_id: str | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
    has_own_pace: bool = False,
    is_called: bool = False,
) -> Span:
    """Begin what somebody waits for.

    Args:
        trace_id: of a trace that begins here; one that cannot be an id is replaced.
        has_own_pace: how long it takes says nothing: an upload, a stream.
        is_called: without a traceparent it goes on with a trace that was not drawn, which has `trace_id`, at the call of `name`.
    """
    recorder = _recorder
    if recorder is None:
        return NO_SPAN
    parent = TraceContext.parse(traceparent) if traceparent is not None else None
    if parent is None:
        caller_id = None if is_called and traceparent is None else 0
        # Not by the id, which a client may have chosen.
        is_sampled = caller_id is not None and random.random() < recorder.sample_ratio  # noqa: S311
        if trace_id is None or not is_trace_id(trace_id):
            trace_id = new_trace_id()
    else:
        trace_id, is_sampled, caller_id = parent.trace_id, parent.is_sampled, parent.span_id
    make = Errand if has_own_pace else Request
    return make(
        recorder,
        name,
        attributes,
        trace_id=trace_id,
        caller_id=caller_id,
        is_sampled=is_sampled,
    )


def begin_batch(
    name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NO_ATTRIBUTES
) -> Span:
    """Begin work on what several traces have brought here: it is kept if one of those is that it links to."""
    recorder = _recorder
    if recorder is None:
        return NO_SPAN
    root = Root(recorder, name, attributes, trace_id=new_trace_id(), caller_id=0, is_sampled=False)
    root.kind = kind
    return root


def begin_job(
    name: str, *, traceparent: str | None, attributes: Attributes = NO_ATTRIBUTES
) -> Span:
    """Begin work that was put aside, in the trace of whoever put it there; nobody waits, so it is never too slow."""
    recorder = _recorder
    if recorder is None:
        return NO_SPAN
    parent = TraceContext.parse(traceparent)
    return Job(
        recorder,
        name,
        attributes,
        trace_id=parent.trace_id if parent else new_trace_id(),
        caller_id=parent.span_id if parent else 0,
        is_sampled=parent is not None and parent.is_sampled,
    )
