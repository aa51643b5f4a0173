"""Whether this process traces, and what each piece of work begins with."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pkg.tracing.context import TraceContext, new_trace_id
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

# A step is brief that took less than this part of what is slow.
BRIEF_PART = 10
# One for a process, as the set-up of its logs is.
_recorder: Recorder | None = None


@contextmanager
def recording(settings: TracingSettings, keep: Keep) -> Iterator[None]:
    """Record in this process while the block runs."""
    global _recorder  # noqa: PLW0603
    slow_ns = int(settings.slow_s * 1e9)
    _recorder = Recorder(settings.sample_ratio, slow_ns, slow_ns // BRIEF_PART, keep)
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
    trace_id: str,
    attributes: Attributes = NO_ATTRIBUTES,
    *,
    traceparent: str | None = None,
    has_own_pace: bool = False,
    is_called: bool = False,
    describe: Callable[[], None] | None = None,
) -> Span:
    """Begin what somebody waits for.

    Args:
        trace_id: of a trace that begins here. One that cannot be an id (`is_trace_id`) is replaced, but only if the trace is kept.
        has_own_pace: how long it takes says nothing: an upload, a stream.
        is_called: without a traceparent it goes on with a trace that was not drawn, which has `trace_id`, at the call of `name`.
        describe: renames it and sets its attributes when it is kept.
    """
    recorder = _recorder
    if recorder is None:
        return NO_SPAN
    make = Errand if has_own_pace else Request
    request = make(recorder, name, trace_id, attributes)
    request.describe = describe
    if traceparent is not None and (caller := TraceContext.parse(traceparent)):
        request.go_on_from(caller)
    elif is_called and traceparent is None:
        request.caller_id = None
    # Not by the id, which a client may have chosen.
    elif random.random() < recorder.sample_ratio:  # noqa: S311
        request.draw()
    return request


def begin_batch(
    name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NO_ATTRIBUTES
) -> Span:
    """Begin work on what several traces have brought here: it is kept if one of those is that it links to."""
    if _recorder is None:
        return NO_SPAN
    root = Root(_recorder, name, new_trace_id(), attributes)
    root.kind = kind
    return root


def begin_job(
    name: str, *, traceparent: str | None, attributes: Attributes = NO_ATTRIBUTES
) -> Span:
    """Begin work that was put aside, in the trace of whoever put it there; nobody waits, so it is never too slow."""
    if _recorder is None:
        return NO_SPAN
    job = Job(_recorder, name, new_trace_id(), attributes)
    if caller := TraceContext.parse(traceparent):
        job.go_on_from(caller)
    return job
