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

from pkg.tracing.context import TraceContext, call_span_id, new_span_id

MOST_LINKS = 100  # of one span: a batch holds more messages

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

    Leaving the block ends it; an exception that leaves it makes it a failed one, unless it is a request: there many are answers.
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

    def describe_later(self, describe: Callable[[], None]) -> None:
        """Let this rename it and set its attributes when it is kept."""

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
        self.root.is_sampled = True
        if len(self.links) < MOST_LINKS:
            self.links = [*self.links, context]

    def fail(self, reason: str) -> None:
        self.error = reason

    def end(self) -> None:
        if not self.ended_ns:
            self.ended_ns = perf_counter_ns()

    def __enter__(self) -> Self:
        self._token = current_span.set(self)
        return self

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        if exc is not None and self.error is None and not isinstance(exc, asyncio.CancelledError):
            # Not its text, which may quote what people wrote.
            self.error = type(exc).__name__
        self.end()
        if self._token is not None:
            try:
                current_span.reset(self._token)
            except ValueError:
                # An abandoned stream is closed by the event loop, in another context.
                current_span.set(None)


Keep = Callable[["Root"], None]


@dataclass(frozen=True, slots=True)
class Recorder:
    """How a process records, and to whom it hands over what is kept.

    Whole traces are sampled where they begin, and their context says so to every other process. What is slow or fails is only known
    at its end: then each process that saw it be so keeps its own part.
    """

    sample_ratio: float
    slow_after_ns: int
    keep: Keep


class Root(RecordedSpan):
    """What a process begins with when it gets to see a trace; it decides what becomes of itself and of the steps below it.

    Args:
        caller_id: the span that it goes on with; 0: none; None: nobody said, it is that of the call of its own name.
    """

    kind = Kind.INTERNAL
    is_ever_slow = True  # Else how long it takes says nothing.
    left_out = 0
    _describe: Callable[[], None] | None = None

    def __init__(
        self,
        recorder: Recorder,
        name: str,
        attributes: Attributes,
        *,
        trace_id: str,
        caller_id: int | None,
        is_sampled: bool,
    ) -> None:
        self.recorder = recorder
        self.name = name
        self.trace_id = trace_id
        self.caller_id = caller_id
        self.is_sampled = is_sampled
        self.steps: list[Step] = []
        self._given = attributes
        self.began_ns = perf_counter_ns()

    @property
    def root(self) -> "Root":
        return self

    @property
    def parent_id(self) -> int:
        if self.caller_id is None:
            return call_span_id(self.trace_id, self.name)
        return self.caller_id

    @property
    def spans(self) -> "list[RecordedSpan]":
        """Itself and the steps."""
        return [self, *self.steps]

    def describe_later(self, describe: Callable[[], None]) -> None:
        self._describe = describe

    def end(self) -> None:
        if self.ended_ns:
            return
        ended_ns = self.ended_ns = perf_counter_ns()
        if self.is_sampled or self.error or self._is_slow():
            for step in self.steps:
                step.break_off(ended_ns)
            if self._describe is not None:
                self._describe()
            self.recorder.keep(self)
        # The tasks that a request leaves behind hold its last span, and with it this one, which knows the whole request.
        self.steps = []
        self._describe = None

    def _is_slow(self) -> bool:
        return self.is_ever_slow and self.ended_ns - self.began_ns >= self.recorder.slow_after_ns


class Request(Root):
    """A root for which somebody waits; of what leaves its block, much is an answer."""

    kind = Kind.SERVER
    error = ""


class Errand(Request):
    """A request that has its own pace: an upload, a stream."""

    is_ever_slow = False


class Job(Root):
    """Work that was put aside: nobody waits for it."""

    kind = Kind.CONSUMER
    is_ever_slow = False


class Step(RecordedSpan):
    """A step of what is below a root."""

    def __init__(self, parent: RecordedSpan, name: str, kind: Kind, attributes: Attributes) -> None:
        self.name = name
        self.kind = kind
        self.trace_id = parent.trace_id
        self._root = parent.root
        self._given = attributes
        self._parent = parent
        self.began_ns = perf_counter_ns()

    @property
    def root(self) -> Root:
        return self._root

    @property
    def parent_id(self) -> int:
        return self._parent.id

    def break_off(self, at_ns: int) -> None:
        """End it where its end was not seen, because it was cancelled or goes on after the root."""
        if not self.ended_ns:
            self.ended_ns = at_ns
            self.error = self.error or "not ended when its request was"


class CallStep(Step):
    """A call of another process, made when it has ended: until then its id is all that is needed, and both sides know that by themselves."""

    kind = Kind.CLIENT

    def __init__(
        self,
        parent: RecordedSpan,
        method: str,
        attributes: Attributes,
        *,
        began_ns: int,
        ended_ns: int,
    ) -> None:
        self.name = method
        self.trace_id = parent.trace_id
        self._root = parent.root
        self._given = attributes
        self._parent = parent
        self.began_ns = began_ns
        self.ended_ns = ended_ns

    def _make_id(self) -> int:
        return call_span_id(self.trace_id, self.name)
