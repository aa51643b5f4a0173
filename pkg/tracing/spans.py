"""Spans while they are recorded.

Recording is cheap, because most of it is thrown away: only when the request has ended it is known that it was slow or failed. So ids,
and what describes a request, are made of what is kept; and so are an SDK's spans, which cost many times as much (`sending.py`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass
from enum import IntEnum
from time import perf_counter_ns
from types import MappingProxyType
from typing import Self

from pkg.tracing.context import TraceContext, call_span_id, is_trace_id, new_span_id, new_trace_id

MOST_LINKS = 100  # of one span: a batch holds more messages
MOST_STEPS = 200  # below one root: a WebSocket lives for an hour

Value = str | int | float | bool
Attributes = Mapping[str, Value]
NO_ATTRIBUTES: Attributes = MappingProxyType({})


class Kind(IntEnum):
    """What a span is for its caller, numbered as in OpenTelemetry's SDK."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


class Span:
    """One operation; a context manager within which it is the current one. This class records nothing.

    Leaving the block ends it; an exception that leaves it makes it a failed one.
    """

    __slots__ = ()
    is_recording = False

    def rename(self, name: str) -> None:
        """Give it the name that is only known now."""

    def set(self, key: str, value: Value) -> None:
        """Set an attribute; keys are those of OpenTelemetry's semantic conventions where they have one."""

    def link(self, traceparent: str | None) -> None:
        """Say that it goes on with what another trace began; it is kept where that one is sampled."""

    def fail(self, reason: str) -> None:
        """Say that it failed, and why."""

    def end(self) -> None:
        """End it; for those that are used without a block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        """End it."""


NO_SPAN = Span()


# Within which span we are.
current_span: ContextVar["RecordedSpan | None"] = ContextVar("span", default=None)


class RecordedSpan(Span):
    """A span that is recorded, and kept if its root is.

    Most are thrown away, so that what few of them get stands in the class, and each kind sets all that it has by itself.
    """

    is_recording = True
    name: str
    kind: Kind
    trace_id: str
    began_ns: int
    ended_ns = 0
    error: str | None = None
    links: Sequence[TraceContext] = ()
    # Whether all steps below it are recorded: where its trace was drawn, or may still turn out to be one that is kept whole.
    is_whole = True
    _given: Attributes
    _own: dict[str, Value] | None = None
    _id = 0
    _token: "Token[RecordedSpan | None] | None" = None

    @property
    def root(self) -> "Root":
        """The span that decides what becomes of this one."""
        raise NotImplementedError

    @property
    def parent_id(self) -> int:
        """The id of the span above; 0: none."""
        raise NotImplementedError

    @property
    def id(self) -> int:
        """Its id, made when somebody asks for it."""
        if not self._id:
            self._id = self._make_id()
        return self._id

    def _make_id(self) -> int:
        return new_span_id()

    @property
    def attributes(self) -> dict[str, Value]:
        """Those that it began with, and those that were set."""
        return {**self._given, **(self._own or {})}

    @property
    def context(self) -> TraceContext:
        """What another process has to know in order to go on."""
        return TraceContext(self.trace_id, self.id, self.root.is_sampled)

    def rename(self, name: str) -> None:
        self.name = name

    def set(self, key: str, value: Value) -> None:
        if self._own is None:
            self._own = {}
        self._own[key] = value

    def link(self, traceparent: str | None) -> None:
        context = TraceContext.parse(traceparent)
        if context is None or not context.is_sampled:
            return
        self.root.draw()
        if len(self.links) < MOST_LINKS:
            self.links = [*self.links, context]

    def fail(self, reason: str) -> None:
        self.error = reason

    def end(self) -> None:
        if not self.ended_ns:
            self.ended_ns = perf_counter_ns()

    def break_off(self, at_ns: int) -> None:
        """End it where its end was not seen, because it was cancelled or goes on after the root."""
        if not self.ended_ns:
            self.ended_ns = at_ns
            self.error = self.error or "not ended when its request was"

    def __enter__(self) -> Self:
        self._token = current_span.set(self)
        return self

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        if exc is not None:
            self._note_failure(exc)
        self.end()
        if self._token is not None:
            try:
                current_span.reset(self._token)
            except ValueError:
                # An abandoned stream is closed by the event loop, in another context.
                current_span.set(None)

    def _note_failure(self, exc: BaseException) -> None:
        if self.error is None and not isinstance(exc, asyncio.CancelledError):
            # Not its text, which may quote what people wrote.
            self.error = type(exc).__name__


Keep = Callable[["Root"], None]


@dataclass(frozen=True, slots=True)
class Recorder:
    """How a process records, and to whom it hands over what is kept.

    Whole traces are sampled where they begin, and their context says so to every other process. What is slow or fails is only known
    at its end: then each process that saw it be so keeps its own part.
    """

    sample_ratio: float
    slow_after_ns: int
    brief_ns: int  # steps of less explain little where a trace was not drawn
    keep: Keep


class Root(RecordedSpan):
    """What a process begins with when it gets to see a trace; it decides what becomes of itself and of the steps below it."""

    is_ever_slow = True  # Else how long it takes says nothing.
    is_sampled = False
    # The span that it goes on with; 0: none; None: nobody said, it is that of the call of its own name.
    caller_id: int | None = 0
    left_out = 0
    recorder: Recorder
    # Most never have one.
    steps: Sequence[RecordedSpan] = ()

    def __init__(self, name: str, kind: Kind, attributes: Attributes) -> None:
        self.name = name
        self.kind = kind
        self._given = attributes

    def begin(self, recorder: Recorder, trace_id: str) -> None:
        """Begin a trace."""
        self.recorder = recorder
        self.trace_id = trace_id
        self.began_ns = perf_counter_ns()

    def go_on_from(self, caller: TraceContext) -> None:
        """Be part of the trace of a span somewhere else."""
        self.trace_id = caller.trace_id
        self.caller_id = caller.span_id
        if caller.is_sampled:
            self.draw()

    def draw(self) -> None:
        """Keep it in any case, with all of its steps from now on."""
        self.is_sampled = self.is_whole = True

    @property
    def root(self) -> "Root":
        return self

    @property
    def parent_id(self) -> int:
        if self.caller_id is None:
            return call_span_id(self.trace_id, self.name)
        return self.caller_id

    @property
    def spans(self) -> list[RecordedSpan]:
        """Itself and the steps."""
        return [self, *self.steps]

    def describe(self) -> None:
        """Give it the name and the attributes that only what is kept needs; for classes that know more of it."""

    def add(self, step: RecordedSpan) -> None:
        """Record a step, for which there must be room."""
        if isinstance(self.steps, list):
            self.steps.append(step)
        else:
            self.steps = [step]

    def has_room(self) -> bool:
        """Tell whether a step can be recorded at the moment; one that cannot is counted."""
        if self.ended_ns:
            return False
        if len(self.steps) >= MOST_STEPS:
            self.left_out += 1
            return False
        return True

    def end(self) -> None:
        if self.ended_ns:
            return
        ended_ns = self.ended_ns = perf_counter_ns()
        took_ns = ended_ns - self.began_ns
        is_slow = self.is_ever_slow and took_ns >= self.recorder.slow_after_ns
        if is_slow or self.is_sampled or self.error:
            self._make_sure_of_its_id()
            for step in self.steps:
                step.break_off(ended_ns)
            self.describe()
            self.recorder.keep(self)
        if self.steps:
            # The tasks that a request leaves behind hold its last span, and with it this one.
            self.steps = ()

    def _make_sure_of_its_id(self) -> None:
        """Replace one that was taken on trust and is none: the caller does not trace, and its request had any id."""
        if is_trace_id(self.trace_id):
            return
        trace_id, self.caller_id = new_trace_id(), 0
        for span in self.spans:
            span.trace_id = trace_id


class Job(Root):
    """Work that was put aside: nobody waits for it."""

    is_ever_slow = False
