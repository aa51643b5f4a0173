"""The database as callers see it when the server freezes, dies, comes back, or two transactions collide."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.connections import AUTOCOMMIT, make_engine
from dal.db.engine import Database, open_database
from dal.db.errors import CONFLICT_ATTEMPTS, TransactionConflict, retry_conflicts
from dal.db.users import insert_user
from pkg.errors import DeadlineExceeded, DependencyUnavailable
from tests.eventually import eventually
from tests.freezing import frozen

OpenDatabase = Callable[..., AbstractAsyncContextManager[Database]]
TIMEOUT_S = 0.6


@pytest.fixture
def open_small(settings) -> OpenDatabase:
    """Open a database with short limits and few connections, which differ as told."""

    @asynccontextmanager
    async def open_it(**changes: float) -> AsyncIterator[Database]:
        limits = {"statement_timeout_s": TIMEOUT_S, "connect_timeout_s": 0.5, "pool_connections": 2}
        async with open_database(settings.mysql.model_copy(update=limits | changes)) as database:
            yield database

    return open_it


@pytest.fixture
async def rows(database: Database) -> AsyncIterator[Callable[[AsyncConnection, int], object]]:
    """Two rows in a table of the test's own, and a way to change one."""
    async with database.read_source() as connection:
        await connection.execute(text("CREATE TABLE rows_of_test (id INT PRIMARY KEY, n INT)"))
        await connection.execute(text("INSERT INTO rows_of_test VALUES (1, 0), (2, 0)"))

    async def increment(connection: AsyncConnection, row_id: int) -> None:
        statement = text("UPDATE rows_of_test SET n = n + 1 WHERE id = :id")
        await connection.execute(statement, {"id": row_id})

    yield increment
    async with database.read_source() as connection:
        await connection.execute(text("DROP TABLE rows_of_test"))


async def read_rows(database: Database) -> dict[int, int]:
    async with database.read_source() as connection:
        found = await connection.execute(text("SELECT id, n FROM rows_of_test"))
        return {row.id: row.n for row in found}


async def select_one(connection: AsyncConnection) -> int:
    return int((await connection.execute(text("SELECT 1"))).scalar_one())


async def read_one(database: Database) -> int:
    async with database.read() as connection:
        return await select_one(connection)


async def write_one(database: Database) -> int:
    async with database.write() as connection:
        return await select_one(connection)


@pytest.mark.parametrize("use", [read_one, write_one])
async def test_a_frozen_server_is_a_passed_deadline_and_forgotten_once_it_thaws(
    servers, open_small, use
):
    async with open_small() as database:
        await use(database)
        with frozen(servers.pid("mysql")):
            for _ in range(4):  # with connections from before, and with new ones
                began = time.monotonic()
                with pytest.raises(DeadlineExceeded):
                    await use(database)
                assert time.monotonic() - began < TIMEOUT_S + 2

        assert await use(database) == 1


async def test_a_server_that_dies_in_the_middle_is_unavailable_and_used_again_when_it_is_back(
    servers, open_small
):
    async with open_small(statement_timeout_s=5) as database:
        await asyncio.gather(read_one(database), write_one(database))

        async def sleep() -> None:
            async with database.read() as connection:
                await connection.execute(text("SELECT SLEEP(30)"))

        sleeping = asyncio.create_task(sleep())
        await eventually(lambda: is_running(database, "SELECT SLEEP(30)"))
        os.kill(servers.pid("mysql"), signal.SIGKILL)
        with pytest.raises(DependencyUnavailable):
            await sleeping
        await asyncio.to_thread(servers.wait_ready, "mysql")

        assert await read_one(database) == 1
        assert await write_one(database) == 1


async def is_running(database: Database, statement: str) -> bool:
    async with database.read_source() as connection:
        found = await connection.execute(text("SHOW FULL PROCESSLIST"))
        return any(row.Info == statement for row in found)


async def test_a_server_that_is_down_is_unavailable_at_once(servers, open_small):
    async with open_small() as database:
        await read_one(database)
        await asyncio.to_thread(servers.stop, "mysql")
        try:
            for use in (read_one, write_one):
                with pytest.raises(DependencyUnavailable):
                    await use(database)
        finally:
            await asyncio.to_thread(servers.start, "mysql")

        assert await read_one(database) == 1


async def test_a_connection_that_the_server_closed_is_not_noticed(open_small, database):
    async with open_small(pool_connections=1) as small:
        async with small.read() as connection:
            number = (await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one()
        async with database.read_source() as connection:
            await connection.execute(text(f"KILL {number}"))

        assert await read_one(small) == 1


@pytest.mark.parametrize(("ping_after_s", "pings"), [(60, 0), (0, 3)])
async def test_a_connection_is_pinged_only_where_it_rested(settings, ping_after_s, pings):
    mysql = settings.mysql.model_copy(update={"pool_connections": 1})
    engine = make_engine(mysql, mysql.host, mysql.port, AUTOCOMMIT, ping_after_s=ping_after_s)

    async def count_pings() -> int:
        async with engine.connect() as connection:
            # It counts pings as well, and nothing else that is done here.
            found = await connection.execute(text("SHOW SESSION STATUS LIKE 'Com_admin_commands'"))
            return int(found.one()[1])

    try:
        counts = [await count_pings() for _ in range(4)]
    finally:
        await engine.dispose()

    assert counts[-1] - counts[0] == pings


async def test_a_caller_waits_for_a_connection_within_the_deadline_only(open_small):
    async with open_small(pool_connections=1) as small, small.read():
        began = time.monotonic()

        with pytest.raises(DeadlineExceeded):
            await read_one(small)

        assert time.monotonic() - began < TIMEOUT_S + 2


async def test_a_slow_statement_is_ended_at_the_deadline(open_small):
    async with open_small(pool_connections=1) as small:
        with pytest.raises(DeadlineExceeded):
            async with small.read() as connection:
                await connection.execute(text("SELECT SLEEP(30)"))

        assert await read_one(small) == 1


async def test_a_write_may_be_given_more_time(open_small):
    async with open_small() as small, small.write(timeout_s=10) as connection:
        await connection.execute(text(f"SELECT SLEEP({TIMEOUT_S * 1.5})"))


def deadlock(
    database: Database, increment, *, attempts: list[int]
) -> Callable[[int, int], Awaitable[None]]:
    both = asyncio.Barrier(2)

    async def increment_both(first: int, second: int) -> None:
        attempts[first - 1] += 1
        async with database.write() as connection:
            await increment(connection, first)
            if attempts[first - 1] == 1:
                await both.wait()
            await increment(connection, second)

    return increment_both


async def test_of_two_transactions_in_a_deadlock_one_loses_whole(database, rows):
    transaction = deadlock(database, rows, attempts=[0, 0])

    results = await asyncio.gather(
        transaction(1, 2),
        transaction(2, 1),
        return_exceptions=True,
    )

    assert sorted(map(type, results), key=str) == [type(None), TransactionConflict]
    assert await read_rows(database) == {1: 1, 2: 1}


async def test_the_loser_of_a_deadlock_tries_again_and_wins(database, rows):
    attempts = [0, 0]
    transaction = deadlock(database, rows, attempts=attempts)

    await asyncio.gather(
        retry_conflicts(lambda: transaction(1, 2)),
        retry_conflicts(lambda: transaction(2, 1)),
    )

    assert await read_rows(database) == {1: 2, 2: 2}
    assert sum(attempts) == 3


async def test_a_lock_that_does_not_come_is_a_conflict(open_small, rows, database):
    async with (
        open_small(pool_connections=1, statement_timeout_s=5) as small,
        database.write() as holder,
    ):
        await rows(holder, 1)

        async def wait_for_lock() -> None:
            async with small.write() as connection:
                await connection.execute(text("SET innodb_lock_wait_timeout = 1"))
                await rows(connection, 1)

        with pytest.raises(TransactionConflict):
            await wait_for_lock()


async def test_a_transaction_that_always_loses_is_an_unavailable_dependency():
    attempts = 0

    async def lose() -> None:
        nonlocal attempts
        attempts += 1
        raise TransactionConflict

    with pytest.raises(DependencyUnavailable):
        await retry_conflicts(lose)

    assert attempts == CONFLICT_ATTEMPTS


async def test_an_error_undoes_the_whole_transaction_and_leaves_the_connection_clean(
    open_small, rows
):
    async with open_small(pool_connections=1) as small:

        async def fail_midway() -> None:
            async with small.write() as connection:
                await rows(connection, 1)
                raise ValueError("midway")

        with pytest.raises(ValueError, match="midway"):
            await fail_midway()
        async with small.write() as connection:
            await rows(connection, 2)

        assert await read_rows(small) == {1: 0, 2: 1}


async def test_a_cancelled_transaction_gives_its_locks_back(database, rows, open_small):
    async with open_small(pool_connections=1, statement_timeout_s=10) as small:
        locked = asyncio.Event()

        async def hold() -> None:
            async with small.write() as connection:
                await rows(connection, 1)
                locked.set()
                await asyncio.Event().wait()

        holding = asyncio.create_task(hold())
        await locked.wait()
        holding.cancel()
        await asyncio.wait({holding})

        async with database.write(timeout_s=10) as connection:
            await rows(connection, 1)
        assert holding.cancelled()
        assert await write_one(small) == 1
    assert await read_rows(database) == {1: 1, 2: 0}


@pytest.mark.parametrize("kind", ["read", "read_source", "write"])
async def test_every_statement_sees_what_was_committed_before_it(database, rows, kind):
    async with getattr(database, kind)() as connection:
        count = text("SELECT n FROM rows_of_test WHERE id = 1")
        assert (await connection.execute(count)).scalar_one() == 0
        async with database.write() as other:
            await rows(other, 1)

        assert (await connection.execute(count)).scalar_one() == 1


async def test_a_connection_at_rest_holds_no_transaction(open_small, rows, database):
    async with open_small(pool_connections=1) as small:
        for use in (small.read, small.write):
            async with use() as connection:
                await connection.execute(text("SELECT n FROM rows_of_test"))

        # This would wait for a transaction that has read the table.
        async with database.read_source() as connection:
            await connection.execute(text("ALTER TABLE rows_of_test ADD COLUMN m INT"))


async def test_text_comes_back_as_it_was_stored(database, make_user):
    async with database.write() as connection:
        found = await connection.execute(text("SELECT :value"), {"value": "抖声 😀 🐶 é ' \\ %"})
        assert found.scalar_one() == "抖声 😀 🐶 é ' \\ %"


async def test_an_error_tells_no_value(database):
    with pytest.raises(DataError) as caught:
        async with database.write() as connection:
            await insert_user(connection, name="x" * 60, password_hash="hunter2")

    assert "hunter2" not in str(caught.value)
