"""SQL statements as steps of a trace: their text with its place holders, never the values."""

from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext, ExecutionContext

from pkg.tracing import Kind, Span, begin_child, is_tracing

TRACED = {"db.system.name": "mysql"}
MOST_TEXT_CHARS = 1000
# Where an execution keeps its span.
SPAN = "span_of_trace"


def trace_statements(engine: Engine, address: str) -> None:
    """Let every statement of an engine be a step of the trace that it belongs to, if this process traces."""
    if not is_tracing():
        return
    attributes = TRACED | {"server.address": address}

    def begin(
        _connection: Any,
        _cursor: Any,
        statement: str,
        _parameters: Any,
        context: ExecutionContext | None,
        _is_many: bool,
    ) -> None:
        span = begin_child(statement.split(None, 1)[0], Kind.CLIENT, attributes)
        if span.is_recording and context is not None:
            span.set("db.query.text", statement.strip()[:MOST_TEXT_CHARS])
            vars(context)[SPAN] = span

    event.listen(engine, "before_cursor_execute", begin)
    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _fail)


def _end(
    _connection: Any,
    _cursor: Any,
    _statement: str,
    _parameters: Any,
    context: ExecutionContext | None,
    _is_many: bool,
) -> None:
    if span := _span_of(context):
        span.end()


def _fail(context: ExceptionContext) -> None:
    if span := _span_of(context.execution_context):
        span.fail(type(context.original_exception).__name__)
        span.end()


def _span_of(context: ExecutionContext | None) -> Span | None:
    return vars(context).get(SPAN) if context is not None else None
