"""Consuming and flushing: what can never be applied is put where a person sees it, and stops nothing else."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from loguru import logger
from prometheus_client import REGISTRY
from sqlalchemy import text

from dal.redis.changes import ChangeLog
from dal.redis.keys import flush_lock_key
from dal.redis.pending import FLUSH_LOCK_TTL_S
from dal.registers.model import Action, ActionType, Kind
from pkg.clock import now_ms
from pkg.mq.consumer import Delivery
from scripts.operator.replay import replay
from services.actions.consumer import apply_batch
from services.actions.flusher import BacklogGauges, Flusher
from services.actions.messages import encode_action
from tests.register_stores import RegisterStores, open_stores

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION


@pytest.fixture
async def stores(settings) -> AsyncIterator[RegisterStores]:
    async with open_stores(settings.mysql, settings.redis_actions) as stores:
        for kind in Kind:  # What earlier tests left pending would be in the way.
            await Flusher(
                stores.database, stores.pending(kind), ChangeLog(stores.redis), batch_size=1000
            ).flush()
        yield stores


def make_flusher(stores: RegisterStores, kind: Kind, batch_size: int = 1000) -> Flusher:
    return Flusher(
        stores.database, stores.pending(kind), ChangeLog(stores.redis), batch_size=batch_size
    )


def deliver(body: bytes) -> Delivery:
    return Delivery(body, {}, 1, redelivered=False)


async def test_malformed_messages_do_not_stop_the_others_of_their_batch(stores):
    author, fan = await stores.add_users(2)
    action = await stores.act(fan, author, DO)
    batch = [deliver(b"junk"), deliver(encode_action(RELATION, action)), deliver(b"{}")]

    dead = await apply_batch(stores.pending(RELATION), batch)

    assert [letter.delivery.body for letter in dead] == [b"junk", b"{}"]
    assert "version: Field required" in dead[1].reason
    assert await stores.list_pending_of(RELATION, fan) == [action]


@pytest.mark.parametrize("batch_size", [50, 300])
async def test_a_flush_takes_everything_in_batches(stores, batch_size):
    author, *fans = await stores.add_users(800)
    [video] = await stores.add_videos(author, 1)
    likes = [await stores.act(fan, video, DO) for fan in fans]
    await stores.pending(FAVORITE).apply_actions(likes)

    assert await make_flusher(stores, FAVORITE, batch_size=batch_size).flush() == len(fans)

    assert await stores.favorite_count(video) == len(fans)
    assert (await stores.pending(FAVORITE).measure()).pending == 0


async def test_a_flusher_leaves_the_work_to_the_one_that_holds_the_lock(stores):
    author, fan = await stores.add_users(2)
    await stores.pending(RELATION).apply_actions([await stores.act(fan, author, DO)])
    await stores.redis.set(flush_lock_key(RELATION), "somebody", ex=int(FLUSH_LOCK_TTL_S))

    assert await make_flusher(stores, RELATION).flush() == 0

    assert (await stores.pending(RELATION).measure()).pending == 1
    await stores.redis.delete(flush_lock_key(RELATION))
    assert await make_flusher(stores, RELATION).flush() == 1


async def test_the_lock_of_a_dead_flusher_ends_in_time_though_the_clock_of_redis_goes_back(stores):
    """What a step back leaves is a lock that lives for longer than any."""
    await stores.redis.set(flush_lock_key(RELATION), "somebody", ex=3600)

    assert await make_flusher(stores, RELATION).flush() == 0

    assert await stores.redis.ttl(flush_lock_key(RELATION)) <= FLUSH_LOCK_TTL_S
    await stores.redis.delete(flush_lock_key(RELATION))


async def test_what_mysql_refuses_is_set_aside_and_everything_else_counts(stores, settings, capsys):
    author, *fans = await stores.add_users(10)
    [video] = await stores.add_videos(author, 1)
    likes = [await stores.act(fan, video, DO) for fan in fans]
    await stores.pending(FAVORITE).apply_actions(likes)
    check = f"CHECK (user_id <> {fans[4]})"
    await run_sql(stores, f"ALTER TABLE user_favorite_videos ADD CONSTRAINT refuses {check}")
    errors: list[str] = []
    sink = logger.add(errors.append, level="ERROR", format="{message} {extra}")
    try:
        flushed = await make_flusher(stores, FAVORITE).flush()
    finally:
        logger.remove(sink)
        await run_sql(stores, "ALTER TABLE user_favorite_videos DROP CONSTRAINT refuses")

    assert flushed == 8
    assert await stores.favorite_count(video) == 8
    [aside] = await stores.pending(FAVORITE).list_aside()
    assert aside.action == likes[4]
    assert "refuses" in aside.reason
    assert len(errors) == 1
    assert "action set aside" in errors[0]

    await replay(settings, FAVORITE, run=True, discard=False)
    assert "set aside: 1, replayed" in capsys.readouterr().out
    await make_flusher(stores, FAVORITE).flush()
    assert await stores.favorite_count(video) == 9


async def test_a_flush_that_finds_no_server_says_so_once_and_goes_on_later(stores, servers):
    author, fan = await stores.add_users(2)
    await stores.pending(RELATION).apply_actions([await stores.act(fan, author, DO)])
    flusher = make_flusher(stores, RELATION)
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{message}")
    await asyncio.to_thread(servers.stop, "mysql")
    try:
        await flusher.run()
        await flusher.run()
    finally:
        await asyncio.to_thread(servers.start, "mysql")
        logger.remove(sink)
    assert sum("flush waits for a server" in line for line in lines) == 1

    await flusher.run()

    assert (await stores.counters(fan))["following_count"] == 1


async def test_the_gauges_tell_how_much_is_pending_and_for_how_long(stores, settings):
    author, fan = await stores.add_users(2)
    old = Action(fan, author, (now_ms() - 20_000) * 1000, DO)
    await stores.pending(RELATION).apply_actions([old])
    gauges = BacklogGauges(stores.pending(RELATION), settings.rabbitmq)

    await gauges.measure_pending()
    await gauges.measure_queues()

    assert read_gauge("dousheng_pending_actions", "relation") == 1
    assert 15 < read_gauge("dousheng_oldest_pending_seconds", "relation") < 60
    await make_flusher(stores, RELATION).flush()
    await gauges.measure_pending()
    assert read_gauge("dousheng_pending_actions", "relation") == 0
    assert read_gauge("dousheng_oldest_pending_seconds", "relation") == 0


async def run_sql(stores: RegisterStores, statement: str, **parameters: int) -> None:
    async with stores.database.read_source() as connection:
        await connection.execute(text(statement), parameters)


def read_gauge(name: str, kind: str) -> float:
    value = REGISTRY.get_sample_value(name, {"kind": kind})
    assert value is not None
    return value
