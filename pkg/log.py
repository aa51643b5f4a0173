"""One setup of loguru for every process, and the request id that follows a request through all of them.

The fields of a JSON line are a schema that others read: the table in pkg/README.md, "Logs".
"""

import asyncio
import inspect
import logging
import sys
import traceback
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from loguru import logger

from pkg.settings import LogSettings
from pkg.tracing.current import current_trace_id

if TYPE_CHECKING:
    from loguru import Record

NOTHING = "-"
# Set by the gateway's middleware, the RPC interceptor and the consumer; "-" outside a request.
request_id: ContextVar[str] = ContextVar("request_id", default=NOTHING)

TEXT_FORMAT = (
    "{time:YYYY-MM-DD HH:mm:ss.SSS!UTC} {level: <7} {extra[process]} {extra[request_id]} "
    "{name}:{line} {message} {extra[facts]}"
)
# What drivers may say; each of them calls an error what is none here, or says it in many lines.
DRIVER_LEVELS = {
    "apscheduler": logging.ERROR,  # warns of every run that is skipped, which is meant to be
    "httpx": logging.WARNING,
    "pika": logging.CRITICAL,  # seven lines of ERROR for one refused connection, which we tell in one
    "python_multipart": logging.ERROR,  # warns about broken forms, which are errors of clients
    "urllib3": logging.WARNING,
}
# What drivers call an error, with a traceback of their own inner parts, and is the end of somebody else: by logger, how it begins, and what
# it means. Other errors of the same loggers stay what they are.
ENDS_ELSEWHERE = (
    ("grpc._cython.cygrpc", "ExecuteBatchError raised in core", "caller gone before its reply"),
    ("sqlalchemy.pool", "Exception during reset or similar", "connection ended by its server"),
)
OWN_EXTRAS = frozenset({"process", "request_id", "trace_id", "facts", "line"})
# A frequent event's lines are written at most this much later.
WRITTEN_WITHIN_S = 0.01

Fields = dict[str, Any]


def new_request_id() -> str:
    """Return a fresh request id: 32 hexadecimal characters."""
    return uuid.uuid4().hex


class FrequentEvent:
    """An event that comes a thousand times a second: lines of one moment are written together, for the price of one.

    A line by itself costs as much as half of the work that it tells of. The lines look like all others.

    Args:
        place: the module that tells it.
    """

    def __init__(self, event: str, place: str) -> None:
        self._event = event
        self._place = place
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def tell(self, facts: Fields) -> None:
        """Note one line, now; must be called in an event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self.write()
            self._loop = loop
        if not self._lines:
            loop.call_later(WRITTEN_WITHIN_S, self.write)
        fields = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "INFO",
            "process": _own.process,
            "request_id": request_id.get(),
            "trace_id": current_trace_id() or NOTHING,
            "event": self._event,
            "place": self._place,
            "facts": facts,
        }
        self._lines.append(_own.render(fields))

    def write(self) -> None:
        """Write the lines that were noted; whoever stops calls it once more."""
        if self._lines:
            lines, self._lines = self._lines, []
            logger.opt(raw=True).info("".join(lines))


def setup_logging(settings: LogSettings, *, process: str) -> None:
    """Send everything, the standard library's loggers included, to standard error and the configured folder."""
    logger.remove()
    logger.configure(extra={"process": process}, patcher=_add_context)
    _own.process = process
    _own.render = _render_json if settings.format == "json" else _render_text
    form: Any = _format_json if settings.format == "json" else TEXT_FORMAT
    logger.add(sys.stderr, level=settings.level, format=form, diagnose=False)
    if settings.directory is not None:
        logger.add(
            settings.directory / f"{process}.log",
            level=settings.level,
            format=form,
            rotation=settings.rotation_mb * 1024 * 1024,
            retention=settings.retention_files,
            diagnose=False,  # Values of variables would carry passwords into the traceback.
        )
    handler = _LoguruHandler()
    handler.addFilter(_tell_end_elsewhere)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    quiet_drivers()


def quiet_drivers() -> None:
    """Keep drivers from logging what is told by us; commands that print for a person need this alone."""
    for driver, level in DRIVER_LEVELS.items():
        logging.getLogger(driver).setLevel(level)


def _add_context(record: "Record") -> None:
    extra = record["extra"]
    extra["request_id"] = request_id.get()
    extra["trace_id"] = current_trace_id() or NOTHING
    extra["facts"] = _facts_as_text(_facts_of(record), extra)


def _facts_of(record: "Record") -> Fields:
    return {key: value for key, value in record["extra"].items() if key not in OWN_EXTRAS}


def _facts_as_text(facts: Fields, ids: Fields) -> str:
    if ids["trace_id"] not in {NOTHING, ids["request_id"]}:
        facts = {**facts, "trace_id": ids["trace_id"]}
    return " ".join(f"{key}={value}" for key, value in facts.items())


def _format_json(record: "Record") -> str:
    extra, fields = record["extra"], Fields()
    fields["time"] = record["time"].astimezone(UTC).isoformat(timespec="milliseconds")
    fields["level"] = record["level"].name
    for name in ("process", "request_id", "trace_id"):
        fields[name] = extra[name]
    fields["event"] = record["message"]
    fields["place"] = f"{record['name']}:{record['line']}"
    fields["facts"] = _facts_of(record)
    if (raised := record["exception"]) is not None:
        # Without the values of variables, which would carry passwords.
        fields["exception"] = "".join(traceback.format_exception(raised.value))
    extra["line"] = _render_json(fields)
    return "{extra[line]}"


def _render_json(fields: Fields) -> str:
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(fields, default=str, option=options).decode()


def _render_text(fields: Fields) -> str:
    time = fields["time"].replace("T", " ").removesuffix("+00:00")
    return (
        f"{time} {fields['level']: <7} {fields['process']} {fields['request_id']} "
        f"{fields['place']} {fields['event']} {_facts_as_text(fields['facts'], fields)}\n"
    )


class _Own:
    """What `setup_logging` settled for the lines that loguru does not format."""

    process = NOTHING
    render: Callable[[Fields], str] = staticmethod(_render_text)


_own = _Own()


def _tell_end_elsewhere(record: logging.LogRecord) -> bool:
    """Make one line of information of each of `ENDS_ELSEWHERE`."""
    told = record.getMessage()
    for name, beginning, meaning in ENDS_ELSEWHERE:
        if record.name.startswith(name) and told.startswith(beginning):
            cause = f" ({record.exc_info[1]!r})" if record.exc_info else ""
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg = f"{meaning}: {told.strip()}{cause}"
            record.args = record.exc_info = None
    return True


class _LoguruHandler(logging.Handler):
    """Hands a record of the standard library to loguru, with the place where it was written."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame, depth = frame.f_back, depth + 1
        logger.opt(depth=depth, exception=record.exc_info).log(level, "{}", record.getMessage())
