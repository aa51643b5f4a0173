"""The real favorite and relation processes, killed at the worst moments, and every server that they need killed as well.

The product has no hooks: a window is held open by freezing a neighbour. Whatever was answered with success counts in the end, and
every counter equals its rows.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import grpc
import pytest
from sqlalchemy import text

from dal.db.absorption import lock_guard
from dal.db.counters import list_differences
from dal.redis.keys import register_keys
from dal.registers.model import ActionType, Kind
from pkg.token import TokenIssuer
from protos import favorite_pb2_grpc
from protos.favorite_pb2 import FavoriteListRequest
from scripts.stack import Stack
from scripts.stack.processes import is_alive
from tests.conftest import AllSettings
from tests.crowd import CALL_TIMEOUT_S, QUICK, Crowd, Pair
from tests.eventually import eventually
from tests.freezing import freeze, frozen, thaw
from tests.register_stores import RegisterStores, open_stores

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def services(servers: Stack) -> Iterator[Stack]:
    """The servers, and the two processes of the write path under their supervisor."""
    for name in ("favorite", "relation"):
        servers.start(name)
    yield servers
    for name in ("favorite", "relation"):
        servers.stop(name)
        log = servers.site.log_file(name).read_text()
        assert "service died" not in log, log
        assert "Traceback" not in log, log


@pytest.fixture
async def crowd(services: Stack, settings: AllSettings) -> AsyncIterator[Crowd]:
    ports = services.site.ports
    for name in ("favorite", "relation"):
        await asyncio.to_thread(services.wait_ready, name)
    async with (
        open_stores(settings.mysql, settings.redis_actions) as stores,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.of('favorite')}", options=QUICK) as likes,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.of('relation')}", options=QUICK) as follows,
    ):
        crowd = Crowd(
            services,
            settings,
            stores,
            {FAVORITE: likes, RELATION: follows},
            TokenIssuer(settings.token),
        )
        crowd.made_up = set(await list_differences(stores.database))
        yield crowd


# A person acts once in this time: twelve of them leave the servers room to be started again.
PACE_S = 0.02
# More than a heartbeat and less than a published action.
MESSAGE_BYTES = 100


# Crash windows


async def test_a_consumer_killed_between_redis_and_its_acknowledgement(crowd):
    author, fan = await crowd.stores.add_users(2)
    [video] = await crowd.stores.add_videos(author, 1)
    pair = (FAVORITE, fan, video)
    await crowd.act_until_accepted(pair, DO)
    await crowd.settled()
    version_key = register_keys(FAVORITE, fan, video)[1]
    # The version is drawn by a write: it must be before the pause, and the rest after.
    redis = crowd.stores.redis
    async with held_broker(crowd) as release_broker:
        calling = asyncio.create_task(crowd.act(pair, UNDO))
        await eventually(lambda: crowd.count_unread() >= MESSAGE_BYTES)
        await redis.execute_command("CLIENT", "PAUSE", 20_000, "WRITE")
        release_broker()
        assert await calling
        await eventually(lambda: is_blocked(redis))
        pid = crowd.stack.pid("favorite")
        freeze(pid)
        await redis.execute_command("CLIENT", "UNPAUSE")
        # The script of the frozen consumer runs now; its reply is never read.
        await eventually(lambda: redis.exists(version_key))
        os.kill(pid, signal.SIGKILL)

    await crowd.settled()

    assert await crowd.stores.rows(FAVORITE, [fan]) == {(fan, video, False)}
    assert await crowd.count_waiting(FAVORITE) == 0


async def test_a_flusher_killed_between_its_commit_and_settling(crowd):
    one, other = await crowd.stores.add_users(2)
    pair = (RELATION, one, other)
    redis = crowd.stores.redis
    pending_key = register_keys(RELATION, one, other)[1]
    async with crowd.stores.database.write(timeout_s=30) as connection:
        await lock_guard(connection, RELATION)
        await crowd.act_until_accepted(pair, DO)
        await eventually(lambda: redis.exists(pending_key))
        await eventually(lambda: waits_for_guard(crowd.stores))
        # The flusher has its lock and its batch and waits for the guard row; its next write to Redis is to settle.
        await redis.execute_command("CLIENT", "PAUSE", 20_000, "WRITE")
    await eventually(lambda: crowd.stores.rows(RELATION, [one]))
    crowd.kill("relation")
    # Redis would still run what it has read from a connection whose process is dead.
    await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await redis.execute_command("CLIENT", "UNPAUSE")

    assert await redis.exists(pending_key)
    await crowd.settled()

    assert await crowd.stores.rows(RELATION, [one]) == {(one, other, True)}
    assert (await crowd.stores.counters(other))["follower_count"] == 1


async def test_a_service_killed_between_publish_and_confirm(crowd):
    author, fan = await crowd.stores.add_users(2)
    [video] = await crowd.stores.add_videos(author, 1)
    pair = (FAVORITE, fan, video)
    async with held_broker(crowd):
        calling = asyncio.create_task(crowd.act(pair, DO))
        await eventually(lambda: crowd.count_unread() >= MESSAGE_BYTES)
        crowd.kill("favorite")
        assert not await calling

    await asyncio.to_thread(crowd.stack.wait_ready, "favorite")
    await crowd.settled()
    await crowd.act_until_accepted(pair, UNDO)
    await crowd.settled()
    assert await crowd.stores.favorite_count(video) == 0


# Servers that die


async def test_nothing_accepted_is_lost_while_every_server_and_service_is_killed(crowd):
    author, *people = await crowd.stores.add_users(13)
    videos = await crowd.stores.add_videos(author, 3)
    stop = asyncio.Event()

    async def person(user: int) -> None:
        chooser = random.Random(user)
        while not stop.is_set():
            if chooser.random() < 0.5:
                pair: Pair = (FAVORITE, user, chooser.choice(videos))
            else:
                pair = (RELATION, user, chooser.choice([p for p in people if p != user][:4]))
            await crowd.act(pair, chooser.choice((DO, UNDO)))
            await asyncio.sleep(PACE_S)  # The pace of the load.

    async with asyncio.TaskGroup() as tasks:
        for user in people:
            tasks.create_task(person(user))
        for name in ("rabbitmq", "redis-actions", "redis-cache", "mysql", "favorite", "relation"):
            await crowd.accepts_again()
            pid = crowd.stack.pid(name)
            crowd.kill(name)
            await eventually(partial(is_gone, pid))
            await asyncio.to_thread(crowd.stack.wait_ready, name)
            await crowd.accepts_again()
        stop.set()

    assert crowd.refused > 0
    assert crowd.slowest_s < CALL_TIMEOUT_S + 1
    await crowd.settled()


async def test_reads_go_on_while_the_broker_and_redis_are_away(crowd):
    author, fan = await crowd.stores.add_users(2)
    [video] = await crowd.stores.add_videos(author, 1)
    await crowd.act_until_accepted((FAVORITE, fan, video), DO)
    await crowd.settled()
    stub = favorite_pb2_grpc.FavoriteServiceStub(crowd.channels[FAVORITE])
    request = FavoriteListRequest(user_id=fan, token=crowd.issuer.issue(fan))
    for name in ("rabbitmq", "redis-actions"):
        with frozen(crowd.stack.pid(name)):
            reply = await stub.FavoriteList(request, timeout=CALL_TIMEOUT_S)
            assert [card.id for card in reply.video_list] == [video]
            assert reply.video_list[0].is_favorite
            assert not await crowd.act((FAVORITE, fan, video), UNDO)
        await crowd.act_until_accepted((FAVORITE, fan, video), DO)
    await crowd.settled()


async def test_five_thousand_actions_of_a_hundred_people_on_ten_targets_are_exact(crowd):
    author, *people = await crowd.stores.add_users(101)
    videos = await crowd.stores.add_videos(author, 5)
    idols = people[:5]

    async def person(user: int) -> None:
        chooser = random.Random(user)
        targets: list[Pair] = [(FAVORITE, user, video) for video in videos]
        targets += [(RELATION, user, idol) for idol in idols if idol != user]
        for _ in range(50):
            pair, action = chooser.choice(targets), chooser.choice((DO, UNDO))
            await crowd.act_until_accepted(pair, action)

    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for user in people:
            tasks.create_task(person(user))
    print(f"{5_000 / (time.monotonic() - began):.0f} accepted/s, {crowd.refused} refused")

    assert crowd.accepted == 5_000
    await crowd.settled()
    for video in videos:
        likes = sum(
            states == {True}
            for (kind, _, target), states in crowd.possible.items()
            if kind is FAVORITE and target == video
        )
        assert await crowd.stores.favorite_count(video) == likes


@asynccontextmanager
async def held_broker(crowd: Crowd) -> AsyncIterator[Callable[[], None]]:
    """Freeze the broker for the block, or until the function that it gives is called."""
    broker = crowd.stack.pid("rabbitmq")
    with frozen(broker):
        yield partial(thaw, broker)


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


async def is_blocked(redis: object) -> bool:
    """Say whether some client waits for the end of a pause."""
    info = await redis.info("clients")  # type: ignore[attr-defined]
    return bool(info["blocked_clients"])


async def waits_for_guard(stores: RegisterStores) -> bool:
    """Say whether a transaction waits for a row lock."""
    async with stores.database.read_source() as connection:
        status = await connection.execute(
            text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
        )
        return int(status.one()[1]) > 0
