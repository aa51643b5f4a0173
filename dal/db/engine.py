"""Where SQL runs: on the source for writes and for reads that must see them, on a healthy replica otherwise.

A replica that is down or lags is left out; without one everything runs on the source.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from loguru import logger
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.connections import AUTOCOMMIT, READ_COMMITTED, MySQLSettings, make_engine
from dal.db.errors import TransactionConflict, opened, retry_conflicts, translated_errors
from dal.db.replicas import REPLICA_CHECK_INTERVAL_S, Replica
from dal.db.schema_version import is_new_enough, newest_version
from pkg.endurance import repeat_until_stopped
from pkg.errors import DependencyUnavailable
from pkg.startup import wait_until_available
from pkg.stopping import wait_for_stop

# What whoever reads and writes needs of this layer.
__all__ = ["Database", "MySQLSettings", "TransactionConflict", "open_database", "retry_conflicts"]

T = TypeVar("T")


class Database:
    """The engines of one process. Make it with `open_database`."""

    def __init__(self, settings: MySQLSettings) -> None:
        self._timeout_s = settings.statement_timeout_s
        self._writer = make_engine(settings, settings.host, settings.port, READ_COMMITTED)
        self._reader = make_engine(settings, settings.host, settings.port, AUTOCOMMIT)
        self._replicas = [Replica(settings, address) for address in settings.replicas]
        self._turn = itertools.count()

    @property
    def has_replicas(self) -> bool:
        """Whether `read` may run on a server that is a moment behind."""
        return bool(self._replicas)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Read what may be a moment old: on a healthy replica, in turn, or on the source."""
        async with translated_errors(self._timeout_s), AsyncExitStack() as stack:
            yield await self._connect_to_any(stack)

    async def _connect_to_any(self, stack: AsyncExitStack) -> AsyncConnection:
        healthy = [replica for replica in self._replicas if replica.is_healthy]
        if healthy:
            replica = healthy[next(self._turn) % len(healthy)]
            try:
                return await stack.enter_async_context(opened(replica.engine.connect()))
            except (SQLAlchemyError, OSError, DependencyUnavailable):
                # It died since the last check, or all of its connections are busy.
                logger.bind(replica=replica.address).info("read moved to the source")
        return await stack.enter_async_context(opened(self._reader.connect()))

    async def read_replicas(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> list[T]:
        """Return what a query returns on each healthy replica; one that fails meanwhile is left out, as `read` does.

        Raises:
            DeadlineExceeded: one did not answer in time.
        """
        answers = []
        for replica in [replica for replica in self._replicas if replica.is_healthy]:
            try:
                async with translated_errors(self._timeout_s), replica.engine.connect() as read:
                    answers.append(await query(read))
            except DependencyUnavailable:
                logger.bind(replica=replica.address).info("replica left out")
        return answers

    @asynccontextmanager
    async def read_source(self) -> AsyncIterator[AsyncConnection]:
        """Read what was committed before now, statement by statement."""
        async with (
            translated_errors(self._timeout_s),
            opened(self._reader.connect()) as connection,
        ):
            yield connection

    @asynccontextmanager
    async def write(self, *, timeout_s: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Run one transaction on the source (READ COMMITTED); it commits when the block ends well.

        Raises:
            TransactionConflict: see `retry_conflicts`.
        """
        async with (
            translated_errors(timeout_s or self._timeout_s),
            opened(self._writer.begin()) as connection,
        ):
            yield connection

    async def ping(self) -> None:
        """Check that the source answers and is migrated.

        Raises:
            DependencyUnavailable: it does not, or is not.
        """
        try:
            async with self.read_source() as connection:
                found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        except SQLAlchemyError as exc:
            raise DependencyUnavailable(detail="mysql: not migrated") from exc
        if not is_new_enough(found):
            detail = f"mysql: not migrated: at {found}, needs {newest_version()}"
            raise DependencyUnavailable(detail=detail)

    async def check_replicas(self, stop: asyncio.Event) -> None:
        """Keep telling healthy replicas from others until `stop`; a background task of a service."""

        async def check() -> None:
            await asyncio.gather(*(replica.check() for replica in self._replicas))
            await wait_for_stop(stop, REPLICA_CHECK_INTERVAL_S)

        pause_s = REPLICA_CHECK_INTERVAL_S
        await repeat_until_stopped(stop, check, name="replica checks", pause_s=pause_s)

    async def close(self) -> None:
        """Close every pool."""
        replicas = [replica.engine for replica in self._replicas]
        for engine in (self._writer, self._reader, *replicas):
            await engine.dispose()


@asynccontextmanager
async def open_database(
    settings: MySQLSettings, *, patient: bool = True
) -> AsyncIterator[Database]:
    """Give a Database whose source answers; close it at the end. Unless `patient`, a source that is down is an error at once."""
    database = Database(settings)
    try:
        await (wait_until_available("mysql", database.ping) if patient else database.ping())
        yield database
    finally:
        await database.close()
