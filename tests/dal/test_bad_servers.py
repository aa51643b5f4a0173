"""MySQL and Redis behind something that accepts and fails: an outage like any other, in time, and forgotten afterwards.

On uvloop, as the services run: some of these faults are its own.
"""

import asyncio
import getpass
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pymysql
import pytest
from pydantic import SecretStr
from redis.exceptions import ResponseError
from sqlalchemy import text

from dal.db.engine import Database, MySQLSettings, open_database
from dal.redis.client import MAX_CONNECTIONS, Redis, RedisSettings, open_redis, translated_errors
from dal.redis.clock import VersionClock
from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable
from pkg.nodes import parse_node
from tests.bad_servers import BAD, BadServer, Behaviour, bad_server_before, on_uvloop
from tests.eventually import eventually

OUTAGES = (DependencyUnavailable, DeadlineExceeded)
PROBES = 6


@pytest.fixture
def mysql(settings) -> Iterator[tuple[BadServer, MySQLSettings]]:
    with bad_server_before(settings.mysql.port) as bad:
        changes = {"port": bad.port, "statement_timeout_s": 0.8, "connect_timeout_s": 0.6}
        yield bad, settings.mysql.model_copy(update=changes)


@pytest.fixture
def redis(settings) -> Iterator[tuple[BadServer, RedisSettings]]:
    with bad_server_before(parse_node(settings.redis_actions.nodes[0]).port) as bad:
        changes = {"nodes": [f"127.0.0.1:{bad.port}"], "timeout_s": 0.4}
        yield bad, settings.redis_actions.model_copy(update=changes)


async def read(database: Database) -> None:
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))


async def write(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("SELECT 1"))


async def ping(client: Redis) -> None:
    with translated_errors():
        await client.ping()


async def draw(client: Redis) -> None:
    await VersionClock(client).draw()


async def assert_outage(call: Callable[[], Awaitable[None]], *, within_s: float) -> None:
    """Every one of several calls fails as an outage and in time, also those that go on at once."""
    for _ in range(PROBES // 2):
        began = time.monotonic()
        outcomes = await asyncio.gather(*(call() for _ in range(4)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= set(OUTAGES), outcomes
        assert time.monotonic() - began < within_s


async def works(call: Callable[[], Awaitable[None]]) -> bool:
    try:
        await call()
    except OUTAGES:
        return False
    return True


@pytest.mark.parametrize("behaviour", BAD)
@pytest.mark.parametrize("use", [read, write])
@on_uvloop
async def test_mysql_behind_a_proxy_that_turns_bad_is_unavailable_and_used_again_afterwards(
    mysql, behaviour, use
):
    bad, settings = mysql
    async with open_database(settings) as database:
        await asyncio.gather(use(database), use(database))  # connections from before
        bad.turn(behaviour)

        await assert_outage(lambda: use(database), within_s=2)

        bad.turn(Behaviour.GOOD)
        await eventually(lambda: works(lambda: use(database)))


@pytest.mark.parametrize("behaviour", BAD)
@on_uvloop
async def test_a_connection_to_mysql_that_turns_bad_in_a_transaction_is_an_outage(mysql, behaviour):
    bad, settings = mysql
    async with open_database(settings) as database:

        async def turn_midway() -> None:
            async with database.write() as connection:
                await connection.execute(text("SELECT 1"))
                bad.turn(behaviour)
                await connection.execute(text("SELECT 2"))

        with pytest.raises(OUTAGES):
            await turn_midway()

        bad.turn(Behaviour.GOOD)
        await eventually(lambda: works(lambda: write(database)))


@pytest.mark.parametrize("behaviour", BAD)
@on_uvloop
async def test_opening_waits_for_a_mysql_that_is_bad_at_first(mysql, behaviour):
    bad, settings = mysql
    bad.turn(behaviour)

    async def open_and_read() -> None:
        async with open_database(settings) as database:
            await read(database)

    opening = asyncio.create_task(open_and_read())
    done, _ = await asyncio.wait({opening}, timeout=0.3)
    assert not done, opening
    bad.turn(Behaviour.GOOD)
    async with asyncio.timeout(10):
        await opening


def fill(settings: MySQLSettings, held: list[pymysql.Connection]) -> None:
    """Open connections until the server refuses one more."""
    password = settings.password.get_secret_value()
    while len(held) < 20:
        opened = pymysql.connect(
            host=settings.host, port=settings.port, user=settings.user, password=password
        )
        held.append(opened)


@pytest.fixture
def full_mysql(servers, settings) -> Iterator[None]:
    """A MySQL that has no connection left (1040)."""
    root = pymysql.connect(unix_socket=str(servers.mysql_socket), user=getpass.getuser())
    with root, root.cursor() as cursor:
        cursor.execute("SELECT @@max_connections")
        ((most,),) = cursor.fetchall()
        cursor.execute("SET GLOBAL max_connections = 10")
        held: list[pymysql.Connection] = []
        try:
            with pytest.raises(pymysql.err.OperationalError, match="1040"):
                fill(settings.mysql, held)
            yield
        finally:
            for connection in held:
                connection.close()
            cursor.execute(f"SET GLOBAL max_connections = {most}")


@on_uvloop
async def test_a_full_mysql_is_unavailable_and_not_a_refusal(full_mysql, settings):
    database = Database(settings.mysql)
    try:
        for use in (read, write):
            with pytest.raises(DependencyUnavailable) as caught:
                await use(database)
            assert type(caught.value) is DependencyUnavailable
    finally:
        await database.close()


@pytest.mark.parametrize(
    "changes", [{"user": "nobody"}, {"database": "mysql"}, {"database": "db_of_nobody"}]
)
@on_uvloop
async def test_a_mysql_that_does_not_let_us_in_refuses(settings, changes):
    database = Database(settings.mysql.model_copy(update=changes))
    try:
        for use in (read, write):
            with pytest.raises(DependencyRefused):
                await use(database)
    finally:
        await database.close()


@pytest.mark.parametrize("behaviour", BAD)
@pytest.mark.parametrize("use", [ping, draw])
@on_uvloop
async def test_redis_behind_a_proxy_that_turns_bad_is_unavailable_and_used_again_afterwards(
    redis, behaviour, use
):
    bad, settings = redis
    async with open_redis(settings) as client:
        await asyncio.gather(use(client), use(client))
        bad.turn(behaviour)

        await assert_outage(lambda: use(client), within_s=settings.timeout_s + 1)

        bad.turn(Behaviour.GOOD)
        await eventually(lambda: works(lambda: use(client)))


@on_uvloop
async def test_callers_of_a_silent_redis_wait_for_a_connection_within_the_same_deadline(redis):
    bad, settings = redis
    settings = settings.model_copy(update={"timeout_s": 2.0})
    async with open_redis(settings) as client:
        bad.turn(Behaviour.SILENT)
        began = time.monotonic()

        calls = [ping(client) for _ in range(3 * MAX_CONNECTIONS)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} == {DependencyUnavailable}
        # Twice as long, were the wait for a connection not part of it.
        assert time.monotonic() - began < 1.8 * settings.timeout_s


@pytest.mark.parametrize("behaviour", BAD)
@on_uvloop
async def test_opening_waits_for_a_redis_that_is_bad_at_first(redis, behaviour):
    bad, settings = redis
    bad.turn(behaviour)

    async def open_and_ping() -> None:
        async with open_redis(settings) as client:
            await ping(client)

    opening = asyncio.create_task(open_and_ping())
    done, _ = await asyncio.wait({opening}, timeout=0.3)
    assert not done, opening
    bad.turn(Behaviour.GOOD)
    async with asyncio.timeout(10):
        await opening


@pytest.fixture
async def spoilt_redis(actions_redis) -> AsyncIterator[Redis]:
    """A Redis whose settings are put back after the test."""
    before = await actions_redis.config_get("maxmemory")
    yield actions_redis
    await actions_redis.replicaof("NO", "ONE")
    await actions_redis.config_set("maxmemory", before["maxmemory"])


async def test_a_redis_that_is_full_refuses_writes_in_scripts_too(spoilt_redis):
    await spoilt_redis.config_set("maxmemory", 1)

    with pytest.raises(DependencyRefused, match="maxmemory"), translated_errors():
        await spoilt_redis.set("key", "value")
    with pytest.raises(DependencyRefused, match="maxmemory"):
        await draw(spoilt_redis)


async def test_a_redis_that_became_a_replica_refuses(spoilt_redis):
    await spoilt_redis.replicaof("127.0.0.1", "1")

    with pytest.raises(DependencyRefused):
        await draw(spoilt_redis)


async def test_a_redis_that_does_not_know_our_password_is_waited_for_and_told_as_an_error(
    settings, logged
):
    wrong = settings.redis_actions.model_copy(update={"password": SecretStr("wrong")})

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), open_redis(wrong):
            pass

    assert any("ERROR" in line and "invalid username-password" in line for line in logged), logged


async def test_an_error_of_our_own_is_no_outage(actions_redis):
    await actions_redis.set("text-of-test", "a")

    with pytest.raises(ResponseError, match="WRONGTYPE"), translated_errors():
        await actions_redis.hget("text-of-test", "field")
