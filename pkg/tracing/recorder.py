"""Whether this process traces, and what each piece of work begins with."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pkg.tracing.context import TRACE_ID, TraceContext, new_trace_id
from pkg.tracing.settings import TracingSettings
from pkg.tracing.spans import NO_ATTRIBUTES, NO_SPAN, Attributes, Kind, Root, Span

Keep = Callable[[Root], None]


class Recorder:
    """Begins what is recorded, and hands over what is kept.

    Whole traces are sampled where they begin, and their context says so to every other process. What is slow or fails is only known
    at its end: then each process that saw it be so keeps its own part.
    """

    def __init__(self, settings: TracingSettings, keep: Keep) -> None:
        self._ratio = settings.sample_ratio
        self._slow_after_ns = int(settings.slow_s * 1e9)
        self._keep = keep

    def begin(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        *,
        parent: TraceContext | None,
        trace_id: str | None = None,
        may_be_drawn: bool = False,
        has_own_pace: bool = False,
        is_called: bool = False,
    ) -> Root:
        """Begin what this process sees of a trace, of the parent's or of a new one."""
        caller_id = None if is_called else 0
        if parent is not None:
            trace_id, is_sampled, caller_id = parent.trace_id, parent.is_sampled, parent.span_id
        else:
            # Not by the id, which a client may have chosen.
            is_sampled = may_be_drawn and random.random() < self._ratio  # noqa: S311
        return Root(
            name,
            kind,
            attributes,
            trace_id=trace_id or new_trace_id(),
            caller_id=caller_id,
            is_sampled=is_sampled,
            slow_after_ns=None if has_own_pace else self._slow_after_ns,
            keep=self._keep,
        )


# One for a process, as the set-up of its logs is.
_recorder: Recorder | None = None


@contextmanager
def recording(settings: TracingSettings, keep: Keep) -> Iterator[None]:
    """Record in this process while the block runs."""
    global _recorder  # noqa: PLW0603
    _recorder = Recorder(settings, keep)
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
    if _recorder is None:
        return NO_SPAN
    if trace_id is not None and not TRACE_ID.fullmatch(trace_id):
        trace_id = None
    is_called = is_called and traceparent is None
    span = _recorder.begin(
        name,
        Kind.SERVER,
        attributes,
        parent=TraceContext.parse(traceparent),
        trace_id=trace_id,
        may_be_drawn=not is_called,
        has_own_pace=has_own_pace,
        is_called=is_called,
    )
    span.error = ""
    return span


def begin_batch(
    name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NO_ATTRIBUTES
) -> Span:
    """Begin work on what several traces have brought here: it is kept if one of those is that it links to."""
    if _recorder is None:
        return NO_SPAN
    return _recorder.begin(name, kind, attributes, parent=None)


def begin_job(
    name: str, *, traceparent: str | None, attributes: Attributes = NO_ATTRIBUTES
) -> Span:
    """Begin work that was put aside, in the trace of whoever put it there; nobody waits, so it is never too slow."""
    if _recorder is None:
        return NO_SPAN
    parent = TraceContext.parse(traceparent)
    return _recorder.begin(name, Kind.CONSUMER, attributes, parent=parent, has_own_pace=True)
