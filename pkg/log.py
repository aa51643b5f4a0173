"""One setup of loguru for every process, and the request id that follows a request through all of them.

The fields of a JSON line are a schema that others read: the table in pkg/README.md, "Logs".
"""

import inspect
import logging
import sys
import traceback
import uuid
from contextvars import ContextVar
from datetime import UTC
from typing import TYPE_CHECKING, Any

import orjson
from loguru import logger

from pkg.settings import LogSettings
from pkg.tracing.spans import current_trace_id

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
OWN_EXTRAS = frozenset({"process", "request_id", "trace_id", "facts", "line"})


def new_request_id() -> str:
    """Return a fresh request id: 32 hexadecimal characters."""
    return uuid.uuid4().hex


def setup_logging(settings: LogSettings, *, process: str) -> None:
    """Send everything, the standard library's loggers included, to standard error and the configured folder."""
    logger.remove()
    logger.configure(extra={"process": process}, patcher=_add_context)
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
    logging.basicConfig(handlers=[_LoguruHandler()], level=logging.INFO, force=True)
    quiet_drivers()


def quiet_drivers() -> None:
    """Keep drivers from logging what is told by us; commands that print for a person need this alone."""
    for driver, level in DRIVER_LEVELS.items():
        logging.getLogger(driver).setLevel(level)


def _add_context(record: "Record") -> None:
    extra = record["extra"]
    extra["request_id"] = request_id.get()
    extra["trace_id"] = current_trace_id() or NOTHING
    facts = _facts_of(record)
    if extra["trace_id"] not in {NOTHING, extra["request_id"]}:
        facts["trace_id"] = extra["trace_id"]
    extra["facts"] = " ".join(f"{key}={value}" for key, value in facts.items())


def _facts_of(record: "Record") -> dict[str, Any]:
    return {key: value for key, value in record["extra"].items() if key not in OWN_EXTRAS}


def _format_json(record: "Record") -> str:
    extra, fields = record["extra"], dict[str, Any]()
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
    extra["line"] = orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    return "{extra[line]}\n"


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
