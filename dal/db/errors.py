"""The one place where MySQL's and MariaDB's errors become ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

from loguru import logger
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable
from pkg.tls import is_refused_certificate

# Deadlock; a lock that did not come in time; one that NOWAIT did not get (MariaDB says 1205 for it, MySQL 3572); a row that has
# changed since the snapshot (MariaDB from 11.6 on).
CONFLICTS = frozenset({1213, 1205, 3572, 1020})
# The server takes no writes: it is a replica, or a source that was closed.
READ_ONLY = frozenset({1290, 1792, 1836})
# Wrong credentials or rights, no such database, an unusable account (locked: MySQL 3118, MariaDB 4151): only an operator helps.
REFUSALS = READ_ONLY | {
    *(1044, 1045, 1049, 1130, 1142, 1143, 1227, 1251, 1370, 1698, 1820, 1862, 3118, 4151),
}
CONFLICT_ATTEMPTS = 5

T = TypeVar("T")
SERVER_ERRORS = (OperationalError, InterfaceError, InternalError)


class TransactionConflict(Exception):
    """The transaction lost a deadlock or waited too long for a lock; all of it was rolled back."""


@asynccontextmanager
async def translated_errors(
    timeout_s: float, *, source_may_move: bool = False
) -> AsyncIterator[None]:
    """Turn the driver's errors into ours and hold the deadline.

    Args:
        source_may_move: a server that takes no writes any more is an outage that ends by itself, and no refusal.

    Raises:
        DependencyUnavailable: the server is down or full.
        DependencyRefused: it does not let us in, or not do that; an operator must act.
        DeadlineExceeded: `timeout_s` passed; of a write, the outcome is unknown.
        TransactionConflict: deadlock, or a lock that did not come.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (TimeoutError, PoolTimeoutError) as exc:
        raise DeadlineExceeded(detail="mysql") from exc
    except DBAPIError as exc:
        error = _find_meaning(exc, source_may_move=source_may_move)
        if error is None:
            raise
        raise error from exc
    except OSError as exc:
        raise DependencyUnavailable(detail="mysql") from exc


def _find_meaning(exc: DBAPIError, *, source_may_move: bool) -> Exception | None:
    """Return what a driver's error means to callers; None for one that is about the statement or its data."""
    number = error_number(exc)
    if number in CONFLICTS:
        return TransactionConflict()
    if number in READ_ONLY and source_may_move:
        return DependencyUnavailable(detail="mysql: the source has been closed")
    if number in REFUSALS or is_refused_certificate(exc.orig):
        return DependencyRefused(detail=f"mysql: {exc.orig}")
    if exc.connection_invalidated or isinstance(exc, SERVER_ERRORS):
        return DependencyUnavailable(detail="mysql")
    return None


@asynccontextmanager
async def opened(
    opening: AbstractAsyncContextManager[AsyncConnection],
) -> AsyncIterator[AsyncConnection]:
    """Give the connection; whatever the driver raises while it connects means that the server is unavailable.

    Against a server that accepts and closes, or says what is no MySQL, asyncmy raises errors of many kinds that are not its own.
    """
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(opening)
        except (SQLAlchemyError, TimeoutError, OSError):
            raise
        except Exception as exc:
            raise DependencyUnavailable(detail="mysql: cannot connect") from exc
        yield connection


def translate_foreign_error(context: ExceptionContext) -> Exception | None:
    """Take what the driver raises in a statement, and is no error of its own, for a connection that is broken.

    A TypeError is about the statement's parameters, which it converts before it sends anything.
    """
    exc = context.original_exception
    is_foreign = context.sqlalchemy_exception is None and isinstance(exc, Exception)
    if not is_foreign or isinstance(exc, SQLAlchemyError | TypeError | TimeoutError):
        return None
    context.is_disconnect = True
    return DependencyUnavailable(detail="mysql: broken connection")


async def retry_conflicts(transaction: Callable[[], Awaitable[T]]) -> T:
    """Run `transaction` again while it loses to another one, a few times.

    Raises:
        DependencyUnavailable: it lost every time.
    """
    for _ in range(CONFLICT_ATTEMPTS - 1):
        try:
            return await transaction()
        except TransactionConflict:
            logger.info("transaction repeated")
    try:
        return await transaction()
    except TransactionConflict as exc:
        raise DependencyUnavailable(detail="mysql: conflicts") from exc


def error_number(exc: DBAPIError) -> int | None:
    """Return the server's number of an error, where it gave one."""
    arguments = getattr(exc.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None
