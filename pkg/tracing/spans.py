"""Spans while they are recorded.

Recording is cheap, because most of it is thrown away: only when the request has ended it is known that it was slow or failed. An SDK's
span costs several times as much, so its objects are made of what is kept (`sending.py`).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from enum import IntEnum
from time import perf_counter_ns
from types import MappingProxyType
from typing import Self

from pkg.tracing.context import TraceContext, new_span_id

MOST_SPANS = 200  # of one part: a WebSocket lives for an hour
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

    def end(self) -> None:
        """End it; for those that are used without a block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        """End it."""


NO_SPAN = Span()


class Part:
    """What this process records of one trace: the spans below one that it began with (its root)."""

    __slots__ = ("_keep", "is_open", "is_sampled", "left_out", "slow_after_ns", "spans", "trace_id")

    def __init__(
        self,
        trace_id: str,
        keep: Callable[["Part"], None],
        *,
        is_sampled: bool,
        slow_after_ns: int | None,
    ) -> None:
        self.trace_id = trace_id
        self.is_sampled = is_sampled
        self.slow_after_ns = slow_after_ns
        self.spans: list[RecordedSpan] = []
        self.left_out = 0
        self.is_open = True
        self._keep = keep

    def close(self, root: "RecordedSpan") -> None:
        """Decide what becomes of the spans, now that the root has ended."""
        self.is_open = False
        is_slow = (
            self.slow_after_ns is not None and root.ended_ns - root.began_ns >= self.slow_after_ns
        )
        if self.is_sampled or is_slow or root.error:
            for span in self.spans:
                span.break_off(root.ended_ns)
            self._keep(self)
        # The tasks that a request leaves behind hold its last span, and with it the part.
        self.spans = []


class RecordedSpan(Span):
    """A span that is recorded, and kept if its part is."""

    __slots__ = (
        "_token",
        "attributes",
        "began_ns",
        "ended_ns",
        "error",
        "id",
        "kind",
        "links",
        "name",
        "parent_id",
        "part",
    )
    is_recording = True

    def __init__(
        self, part: Part, name: str, kind: Kind, *, attributes: Attributes, parent_id: int
    ) -> None:
        self.part = part
        self.name = name
        self.kind = kind
        self.attributes: dict[str, Value] = {**attributes}
        self.parent_id = parent_id  # 0: none
        self.id = new_span_id()
        self.links: list[TraceContext] = []
        self.error: str | None = None
        self.ended_ns = 0
        self._token: Token[RecordedSpan | None] | None = None
        part.spans.append(self)
        self.began_ns = perf_counter_ns()

    @property
    def context(self) -> TraceContext:
        """What another process has to know in order to go on."""
        return TraceContext(self.part.trace_id, self.id, self.part.is_sampled)

    def rename(self, name: str) -> None:
        self.name = name

    def set(self, key: str, value: Value) -> None:
        self.attributes[key] = value

    def link(self, traceparent: str | None) -> None:
        context = TraceContext.parse(traceparent)
        if context is None or not context.is_sampled:
            return
        self.part.is_sampled = True
        if len(self.links) < MOST_LINKS:
            self.links.append(context)

    def fail(self, reason: str) -> None:
        self.error = reason

    def end(self) -> None:
        if self.ended_ns:
            return
        self.ended_ns = perf_counter_ns()
        if self.part.spans and self is self.part.spans[0]:
            self.part.close(self)

    def break_off(self, at_ns: int) -> None:
        """End it where its end was not seen, because it was cancelled or goes on after the root."""
        if not self.ended_ns:
            self.ended_ns = at_ns
            self.error = self.error or "not ended when its request was"

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        if exc is not None and self.error is None and not isinstance(exc, asyncio.CancelledError):
            # Not its text, which may quote what people wrote.
            self.error = type(exc).__name__
        self.end()
        if self._token is not None:
            try:
                _current.reset(self._token)
            except ValueError:
                # An abandoned stream is closed by the event loop, in another context.
                _current.set(None)


_current: ContextVar[RecordedSpan | None] = ContextVar("span", default=None)


def child(name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NO_ATTRIBUTES) -> Span:
    """Begin a step of what is traced at the moment, if anything is."""
    parent = _current.get()
    if parent is None:
        return NO_SPAN
    part = parent.part
    if not part.is_open:
        return NO_SPAN
    if len(part.spans) >= MOST_SPANS:
        part.left_out += 1
        return NO_SPAN
    return RecordedSpan(part, name, kind, attributes=attributes, parent_id=parent.id)


def current_trace_id() -> str | None:
    """Return the id of the trace of this moment, whether it will be kept or not."""
    span = _current.get()
    return span.part.trace_id if span else None


def current_traceparent() -> str | None:
    """Return what a message to another process says of the trace of this moment."""
    span = _current.get()
    return span.context.format() if span else None


def find_kept_trace_id() -> str | None:
    """Return the id of the trace of this moment where it is kept for certain: what a metric may name as an example."""
    span = _current.get()
    return span.part.trace_id if span and span.part.is_sampled else None
