"""Where a trace goes on: what travels from process to process, as W3C's `traceparent`."""

import random
import re
import zlib
from dataclasses import dataclass

# The header's name in HTTP, gRPC and messages alike.
TRACEPARENT = "traceparent"
_NO_TRACE_ID = "0" * 32
_find_trace_id = re.compile("[0-9a-f]{32}").fullmatch
_TRACEPARENT = re.compile(
    "(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span that was begun somewhere else.

    `is_sampled`: whether every process keeps what it sees of the trace.
    """

    trace_id: str  # 32 hexadecimal digits
    span_id: int
    is_sampled: bool

    @classmethod
    def parse(cls, traceparent: str | None) -> "TraceContext | None":
        """Return what a header says; None where there is none or it makes no sense."""
        found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if found is None:
            return None
        return cls(found[1], int(found[2], 16), bool(int(found[3], 16) & _SAMPLED))

    def format(self) -> str:
        """Return the header."""
        return f"00-{self.trace_id}-{self.span_id:016x}-{'01' if self.is_sampled else '00'}"


def is_sampled(traceparent: str | None) -> bool:
    """Tell whether a header names a trace that every process keeps."""
    context = TraceContext.parse(traceparent)
    return context is not None and context.is_sampled


def is_trace_id(text: str) -> bool:
    """Tell whether a text can be the id of a trace."""
    return _find_trace_id(text) is not None and text != _NO_TRACE_ID


def new_trace_id() -> str:
    """Return a fresh trace id."""
    return f"{random.getrandbits(128) or 1:032x}"


def call_span_id(trace_id: str, method: str) -> int:
    """Return the id of the span of a call, which both sides make of what they know anyway."""
    return (int(trace_id[:16], 16) ^ zlib.crc32(method.encode())) or 1


def new_span_id() -> int:
    """Return a fresh span id."""
    return random.getrandbits(64) or 1
