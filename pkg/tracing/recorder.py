"""Whether this process traces, and what each piece of work begins with."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns

from pkg.tracing.context import TraceContext, new_trace_id
from pkg.tracing.settings import TracingSettings
from pkg.tracing.spans import (
    NO_ATTRIBUTES,
    NO_SPAN,
    Attributes,
    Job,
    Keep,
    Kind,
    Recorder,
    Root,
    Span,
    current_span,
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


class RequestSpan(Root):
    """What somebody waits for. It has no block of its own: of the exceptions that end a request, many are answers.

    A process makes an object of each request anyway, and derives its class from this one: another object for each, of which nearly none
    is kept, would cost as much again. It is a span from `begin_request` to `end`, if this process traces, and the current one of its task
    beyond that.
    """

    kind = Kind.SERVER
    is_recording = False
    # Else that is known when it begins.
    is_whole = False
    name = "request"
    _given = NO_ATTRIBUTES

    def begin_request(
        self, trace_id: str, traceparent: str | None = None, *, is_called: bool = False
    ) -> None:
        """Begin, and be the current span.

        Args:
            trace_id: of a trace that begins here. One that cannot be an id (`is_trace_id`) is replaced, but only if the trace is kept.
            is_called: without a traceparent it goes on with a trace that was not drawn, which has `trace_id`, at the call of its name.
        """
        recorder = _recorder
        if recorder is None:
            return
        # As `begin` and `__enter__` do: a call costs as much as all of these.
        self.is_recording = True
        self.recorder = recorder
        self.trace_id = trace_id
        self.began_ns = perf_counter_ns()
        current_span.set(self)
        if traceparent is not None and (caller := TraceContext.parse(traceparent)):
            self.go_on_from(caller)
        elif is_called and traceparent is None:
            self.caller_id = None
        # Not by the id, which a client may have chosen.
        elif random.random() < recorder.sample_ratio:  # noqa: S311
            self.draw()


def begin_batch(
    name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NO_ATTRIBUTES
) -> Span:
    """Begin work on what several traces have brought here: it is kept if one of those is that it links to."""
    if _recorder is None:
        return NO_SPAN
    root = Root(name, kind, attributes)
    root.begin(_recorder, new_trace_id())
    return root


def begin_job(
    name: str, *, traceparent: str | None, attributes: Attributes = NO_ATTRIBUTES
) -> Span:
    """Begin work that was put aside, in the trace of whoever put it there; nobody waits, so it is never too slow."""
    if _recorder is None:
        return NO_SPAN
    job = Job(name, Kind.CONSUMER, attributes)
    job.begin(_recorder, new_trace_id())
    if caller := TraceContext.parse(traceparent):
        job.go_on_from(caller)
    return job
