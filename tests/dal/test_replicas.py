"""Reads on real replicas: used while they keep up, left out when they lag, stop or die."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pymysql
import pytest
from sqlalchemy import text

from dal.db import engine
from dal.db.engine import Database, open_database
from dal.db.migrate import wait_for_source
from dal.db.users import insert_user, list_users
from dal.redis.changes import ChangeLog
from dal.redis.clock import VersionClock
from dal.redis.overlay import Overlay
from dal.redis.pending import PendingActions
from dal.registers.flags import ViewerFlags
from dal.registers.model import Action, ActionType, Kind
from pkg.errors import DependencyRefused, DependencyUnavailable
from protos.user_pb2 import User
from protos.video_pb2 import Video
from services.actions.effect import EffectWait
from services.actions.flusher import Flusher
from services.actions.load import ActionLoad
from services.presenters import Presenter
from tests.dal.mysql_replica import MySQLReplica
from tests.eventually import eventually
from tests.freezing import frozen


@pytest.fixture(scope="module")
def replica(servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLReplica]:
    made = MySQLReplica(servers, tmp_path_factory.mktemp("replica"), 1)
    try:
        made.start()
        made.replicate()
        yield made
    finally:
        made.kill()


@pytest.fixture
async def replicated(monkeypatch, settings, replica) -> AsyncIterator[Database]:
    """A database with this replica, of which nothing is known yet; it will be looked at often."""
    monkeypatch.setattr(engine, "NODE_CHECK_INTERVAL_S", 0.1)
    changes = {"replicas": (replica.address,), "max_replica_lag_s": 1, "connect_timeout_s": 0.5}
    async with open_database(settings.mysql.model_copy(update=changes)) as database:
        yield database


@asynccontextmanager
async def watched(database: Database) -> AsyncIterator[None]:
    """Let the health of the replicas be checked in the background, as a service does."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(database.check_nodes(stop))
        try:
            yield
        finally:
            stop.set()


async def check_once(database: Database) -> None:
    stop = asyncio.Event()
    checking = asyncio.create_task(database.check_nodes(stop))
    await asyncio.sleep(0)
    stop.set()
    await checking


@contextmanager
def standing_still(replica: MySQLReplica) -> Iterator[None]:
    replica.run("STOP SLAVE")
    try:
        yield
    finally:
        replica.run("START SLAVE")


async def read_port(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(text("SELECT @@port"))).scalar_one())


async def test_reads_run_on_a_replica_that_keeps_up_and_writes_never(replicated, replica, settings):
    async with watched(replicated):
        await eventually(lambda: reads_on(replicated, replica.port))

        for use in (replicated.read_source, replicated.write):
            async with use() as connection:
                port = (await connection.execute(text("SELECT @@port"))).scalar_one()
            assert port == settings.mysql.port


async def reads_on(database: Database, port: int) -> bool:
    return await read_port(database) == port


async def test_a_replica_of_which_nothing_is_known_is_not_read(replicated, settings):
    assert await read_port(replicated) == settings.mysql.port


async def test_a_replica_knows_what_was_written(replicated, replica, make_user):
    async with watched(replicated):
        await eventually(lambda: reads_on(replicated, replica.port))
        user_id = await make_user()

        async def is_known() -> bool:
            async with replicated.read() as connection:
                return bool(await list_users(connection, [user_id]))

        await eventually(is_known)


@pytest.mark.parametrize("thread", ["", "SQL_THREAD", "IO_THREAD"])
async def test_a_replica_that_stands_still_is_left_out_until_it_runs_again(
    replicated, replica, settings, thread
):
    async with watched(replicated):
        await eventually(lambda: reads_on(replicated, replica.port))

        replica.run(f"STOP SLAVE {thread}")
        try:
            await eventually(lambda: reads_on(replicated, settings.mysql.port), within_s=5)
        finally:
            replica.run("START SLAVE")

        await eventually(lambda: reads_on(replicated, replica.port))


async def test_a_replica_that_lags_is_left_out_until_it_has_caught_up(
    replicated, replica, settings, make_user
):
    async with watched(replicated):
        await eventually(lambda: reads_on(replicated, replica.port))

        with replica.connect() as blocker, blocker.cursor() as cursor:
            cursor.execute(f"LOCK TABLES {settings.mysql.database}.users READ")
            await make_user()
            await eventually(lambda: reads_on(replicated, settings.mysql.port), within_s=10)

        await eventually(lambda: reads_on(replicated, replica.port))


async def test_no_read_fails_when_a_replica_dies(replicated, replica, settings):
    async with watched(replicated):
        await eventually(lambda: reads_on(replicated, replica.port))

        replica.kill()
        try:
            for _ in range(20):
                assert await read_port(replicated) == settings.mysql.port
        finally:
            replica.start()

        await eventually(lambda: reads_on(replicated, replica.port))


async def test_a_frozen_replica_is_left_out(replicated, replica, settings):
    async with watched(replicated):
        await eventually(lambda: reads_on(replicated, replica.port))

        with frozen(replica.pid):
            await eventually(lambda: not replicated._nodes.healthy_replicas, within_s=5)
            assert await read_port(replicated) == settings.mysql.port

        await eventually(lambda: reads_on(replicated, replica.port))


@pytest.fixture
def closed_source(servers) -> Iterator[None]:
    """A source that takes no writes, as at the beginning of a fail-over."""
    root = pymysql.connect(unix_socket=str(servers.mysql_socket), user=getpass.getuser())
    with root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL read_only = ON")
        yield
        cursor.execute("SET GLOBAL read_only = OFF")


async def test_a_source_that_was_closed_is_an_outage_where_it_may_move_and_else_a_refusal(
    replicated, settings, closed_source
):
    async with open_database(settings.mysql) as alone:
        for database, expected in (
            (replicated, DependencyUnavailable),
            (alone, DependencyRefused),
        ):
            with pytest.raises(DependencyUnavailable) as caught:
                async with database.write() as connection:
                    await insert_user(connection, name="nobody", password_hash="none")
            assert type(caught.value) is expected

    with pytest.raises(DependencyUnavailable):
        async with replicated.read_source():
            pass


async def test_whoever_knows_a_replica_first_finds_the_source(replica, settings):
    host, _, port = replica.address.rpartition(":")
    source = f"{settings.mysql.host}:{settings.mysql.port}"
    changes = {"host": host, "port": int(port), "replicas": (source,)}
    known = settings.mysql.model_copy(update=changes)

    async with open_database(known) as database:
        assert database.source_address == source
    assert (await wait_for_source(known, 10)).port == settings.mysql.port


async def test_somebody_whom_the_replica_does_not_know_yet_is_read_on_the_source(
    replicated, replica, make_user, actions_redis
):
    presenter = Presenter(replicated, ViewerFlags(replicated, Overlay(actions_redis)))
    known = await make_user()
    await eventually(lambda: found_on(replica, known))
    await eventually(lambda: is_healthy_after_check(replicated))
    with standing_still(replica):
        missing = await make_user()
        assert await read_port(replicated) == replica.port

        cards = await presenter.list_user_cards([missing, known, 2**52], None)

    assert [User.FromString(card).id for card in cards] == [missing, known]


async def test_a_video_that_the_replica_does_not_know_yet_is_read_on_the_source(
    replicated, replica, videos, actions_redis
):
    presenter = Presenter(replicated, ViewerFlags(replicated, Overlay(actions_redis)))
    await eventually(lambda: is_healthy_after_check(replicated))
    with standing_still(replica):
        video_id = await videos.add_job()
        await videos.publish(await videos.claim())
        assert await read_port(replicated) == replica.port

        cards = await presenter.list_video_cards([video_id, 2**52], None)

    assert [Video.FromString(card).id for card in cards] == [video_id]


async def test_the_reply_of_an_action_waits_for_the_replicas_as_well(
    replicated, replica, make_user, actions_redis
):
    one, other = await make_user(), await make_user()
    pending = PendingActions(actions_redis, Kind.RELATION)
    effect = EffectWait(replicated, pending, ActionLoad(), wait_s=30)

    async def follow() -> Action:
        action = Action(one, other, await VersionClock(actions_redis).draw(), ActionType.DO)
        await pending.apply_actions([action])
        await Flusher(replicated, pending, ChangeLog(actions_redis), batch_size=1000).flush()
        return action

    await eventually(lambda: is_healthy_after_check(replicated))
    with standing_still(replica):
        replying = asyncio.create_task(effect.wait_after(one, follow()))
        await eventually(lambda: follows_on_source(replicated, one))
        done, _ = await asyncio.wait({replying}, timeout=0.3)
        assert not done
    await replying

    async with replicated.read() as connection:
        assert (await connection.execute(text("SELECT @@port"))).scalar_one() == replica.port
        assert (await list_users(connection, [other]))[0].follower_count == 1


async def follows_on_source(database: Database, user_id: int) -> bool:
    async with database.read_source() as connection:
        return (await list_users(connection, [user_id]))[0].following_count == 1


def found_on(replica: MySQLReplica, user_id: int) -> bool:
    return bool(replica.run("SELECT id FROM db_tiktok.users WHERE id = %s", user_id))


async def is_healthy_after_check(database: Database) -> bool:
    await check_once(database)
    return bool(database._nodes.healthy_replicas)
