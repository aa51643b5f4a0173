"""The trace that the current context belongs to, for whoever names it beside a number or in a line."""

from contextvars import ContextVar

# Set by whoever begins a span that is kept; in 32 hex digits.
_sampled: ContextVar[str | None] = ContextVar("sampled_trace_id", default=None)


def find_trace_id() -> str | None:
    """Return the id of the trace of this context; None where it is not kept."""
    return _sampled.get()
