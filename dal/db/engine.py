"""Where SQL runs: on the source for writes and for reads that must see them, on a healthy replica otherwise.

A replica that is down or lags is left out; without one everything runs on the source. The source is followed where it moves; see nodes.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

from loguru import logger
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.connections import MySQLSettings
from dal.db.errors import TransactionConflict, opened, retry_conflicts, translated_errors
from dal.db.nodes import NODE_CHECK_INTERVAL_S, Nodes
from dal.db.schema_version import is_new_enough, newest_version
from pkg.dependency_calls import Dependency
from pkg.endurance import repeat_until_stopped
from pkg.errors import DependencyUnavailable
from pkg.startup import wait_until_available
from pkg.stopping import wait_for_stop
from pkg.tracing import child

# What whoever reads and writes needs of this layer.
__all__ = ["Database", "MySQLSettings", "TransactionConflict", "open_database", "retry_conflicts"]

T = TypeVar("T")
MYSQL = Dependency("mysql")


class Database:
    """The engines of one process. Make it with `open_database`."""

    def __init__(self, settings: MySQLSettings) -> None:
        self._timeout_s = settings.statement_timeout_s
        self._nodes = Nodes(settings)

    @property
    def has_replicas(self) -> bool:
        """Whether `read` may run on a server that is a moment behind."""
        return not self._nodes.is_one

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Read what may be a moment old: on a healthy replica, in turn, or on the source."""
        with MYSQL.call("read"):
            async with self._translated(), AsyncExitStack() as stack:
                with MYSQL.waiting():
                    connection = await self._connect_to_any(stack)
                yield connection

    async def _connect_to_any(self, stack: AsyncExitStack) -> AsyncConnection:
        replica = self._nodes.next_replica()
        if replica is not None:
            try:
                return await stack.enter_async_context(opened(replica.reader.connect()))
            except (SQLAlchemyError, OSError, DependencyUnavailable):
                # It died since the last check, or all of its connections are busy.
                logger.bind(replica=replica.address).info("read moved to the source")
        return await stack.enter_async_context(opened(self._nodes.source.source_reader.connect()))

    async def read_replicas(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> list[T]:
        """Return what a query returns on each healthy replica; one that fails meanwhile is left out, as `read` does.

        Raises:
            DeadlineExceeded: one did not answer in time.
        """
        answers = []
        for replica in self._nodes.healthy_replicas:
            try:
                async with self._translated(), replica.reader.connect() as read:
                    answers.append(await query(read))
            except DependencyUnavailable:
                logger.bind(replica=replica.address).info("replica left out")
        return answers

    @asynccontextmanager
    async def read_source(self) -> AsyncIterator[AsyncConnection]:
        """Read what was committed before now, statement by statement."""
        with MYSQL.call("read_source"):
            async with self._translated(), AsyncExitStack() as stack:
                source = self._nodes.source
                yield await _connect(stack, source.source_reader.connect())

    @asynccontextmanager
    async def write(self, *, timeout_s: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Run one transaction on the source (READ COMMITTED); it commits when the block ends well.

        Raises:
            TransactionConflict: see `retry_conflicts`.
        """
        with MYSQL.call("write"), child("transaction"):
            async with self._translated(timeout_s), AsyncExitStack() as stack:
                yield await _connect(stack, self._nodes.source.writer.begin())

    def _translated(self, timeout_s: float | None = None) -> AbstractAsyncContextManager[None]:
        # Of several servers a source that takes no writes any more is being replaced, without an operator of ours.
        return translated_errors(timeout_s or self._timeout_s, source_may_move=self.has_replicas)

    async def find_source(self) -> None:
        """Find out which of the servers takes writes, as `check_nodes` does in a service."""
        await self._nodes.find_source()

    async def ping(self) -> None:
        """Check that the source answers and is migrated.

        Raises:
            DependencyUnavailable: it does not, or is not.
        """
        await self.find_source()
        try:
            async with self.read_source() as connection:
                found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        except SQLAlchemyError as exc:
            raise DependencyUnavailable(detail="mysql: not migrated") from exc
        if not is_new_enough(found):
            detail = f"mysql: not migrated: at {found}, needs {newest_version()}"
            raise DependencyUnavailable(detail=detail)

    async def check_nodes(self, stop: asyncio.Event) -> None:
        """Keep following the source and telling healthy replicas from others until `stop`; a background task of a service."""

        async def check() -> None:
            await self._nodes.check()
            await wait_for_stop(stop, NODE_CHECK_INTERVAL_S)

        pause_s = NODE_CHECK_INTERVAL_S
        await repeat_until_stopped(stop, check, name="node checks", pause_s=pause_s)

    @property
    def source_address(self) -> str:
        """Where writes go, `host:port`."""
        return self._nodes.source.address

    async def close(self) -> None:
        """Close every pool."""
        await self._nodes.close()


async def _connect(
    stack: AsyncExitStack, opening: AbstractAsyncContextManager[AsyncConnection]
) -> AsyncConnection:
    with MYSQL.waiting():
        return await stack.enter_async_context(opened(opening))


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
