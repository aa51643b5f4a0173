"""When the reply of a like or a follow arrives: everybody sees it while little happens; otherwise the reply does not wait for that."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import pytest

from dal.db.absorption import lock_guard
from dal.db.users import require_user
from dal.redis.keys import flush_lock_key
from dal.registers.lists import RegisterLists
from dal.registers.model import ActionType, Kind
from pkg.paging import PageRequest
from pkg.rpc.server import Background
from scripts.stack import Stack
from services.actions.flusher import FlushingServiceSettings
from services.actions.intake import ActionIntake, ExistenceCache
from services.actions.load import QUIET_ACTIONS
from services.actions.write_path import make_write_path
from services.foundation import FoundationSettings, open_foundation
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.register_stores import RegisterStores

DO, UNDO = ActionType.DO, ActionType.UNDO
WAIT_S = 20.0  # a busy machine gets more than the product's own limit
# Nobody reaches it but a flush that nobody woke.
SELDOM_S = 3600.0


@dataclass
class Follows:
    """The write path of follows as its service runs it, and what others see of it."""

    intake: ActionIntake
    stores: RegisterStores
    lists: RegisterLists

    async def act(self, user_id: int, target_id: int, action_type: ActionType) -> float:
        """Return how long the reply took."""
        began = time.monotonic()
        await self.intake.accept(user_id=user_id, target_id=target_id, action_type=action_type)
        return time.monotonic() - began

    async def followers_of(self, user_id: int) -> list[int]:
        return (await self.lists.list_followers(user_id, PageRequest(100))).items

    async def numbers_of(self, *user_ids: int) -> list[tuple[int, int]]:
        found = [await self.stores.counters(user_id) for user_id in user_ids]
        return [(numbers["following_count"], numbers["follower_count"]) for numbers in found]


@asynccontextmanager
async def open_follows(
    settings: AllSettings, *, effect_wait_s: float = WAIT_S
) -> AsyncIterator[Follows]:
    flushing = FlushingServiceSettings(
        host="127.0.0.1",
        port=1,
        advertise_host="127.0.0.1",
        metrics_port=1,
        stop_grace_s=5,
        max_concurrent_calls=1000,
        max_concurrent_streams=64,
        flush_interval_s=SELDOM_S,
        flush_batch_actions=1000,
        effect_wait_s=effect_wait_s,
    )
    async with open_foundation(cast("FoundationSettings", settings)) as base:
        path = make_write_path(
            Kind.RELATION,
            base,
            targets=ExistenceCache(base.database, require_user),
            rabbitmq=settings.rabbitmq,
            flushing=flushing,
        )
        stores = RegisterStores(base.database, base.redis)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for run in path.background:
                tasks.create_task(run_to_end(run, stop))
            follows = Follows(path.intake, stores, RegisterLists(base.database, base.overlay))
            await eventually(lambda: can_act(follows))
            yield follows
            stop.set()


async def run_to_end(run: Background, stop: asyncio.Event) -> None:
    await run(stop)


async def can_act(follows: Follows) -> bool:
    """Whether publisher, consumer and flush are at work: somebody's first follow has come through."""
    try:
        one, other = await follows.stores.add_users(2)
        await follows.act(one, other, DO)
    except Exception as exc:
        raise AssertionError("not yet") from exc
    return bool(await follows.followers_of(other) == [one])


@pytest.fixture
async def follows(settings: AllSettings) -> AsyncIterator[Follows]:
    async with open_follows(settings) as opened:
        yield opened


async def test_a_follow_is_in_everybodys_lists_and_numbers_when_its_reply_arrives(
    follows: Follows,
):
    one, other = await follows.stores.add_users(2)

    await follows.act(one, other, DO)

    assert await follows.followers_of(other) == [one]
    assert await follows.numbers_of(one, other) == [(1, 0), (0, 1)]

    await follows.act(one, other, UNDO)

    assert await follows.followers_of(other) == []
    assert await follows.numbers_of(one, other) == [(0, 0), (0, 0)]


async def test_one_action_after_the_other_is_visible_at_once(follows: Follows):
    fan, *stars = await follows.stores.add_users(20)

    for number, star in enumerate(stars, 1):
        await follows.act(fan, star, DO)

        assert await follows.followers_of(star) == [fan]
        assert await follows.numbers_of(fan) == [(number, 0)]


async def test_doing_twice_and_undoing_at_the_same_moment_waits_for_the_last_one(
    follows: Follows,
):
    one, other = await follows.stores.add_users(2)

    await asyncio.gather(*(follows.act(one, other, kind) for kind in (DO, DO, UNDO)))
    await follows.act(one, other, DO)

    assert await follows.followers_of(other) == [one]
    assert await follows.numbers_of(one, other) == [(1, 0), (0, 1)]


async def test_under_load_no_reply_waits(settings: AllSettings):
    """While nothing is absorbed, whoever waited would take `WAIT_S` at least."""
    async with open_follows(settings) as follows:
        star, *fans = await follows.stores.add_users(100)
        async with follows.stores.database.write(timeout_s=30) as connection:
            await lock_guard(connection, Kind.RELATION)

            took_s = await asyncio.gather(*(follows.act(fan, star, DO) for fan in fans))

            assert max(took_s) < WAIT_S


async def test_a_few_people_who_act_without_a_pause_are_load_too(settings: AllSettings):
    """As above: whoever waited would take `WAIT_S` at least."""
    async with open_follows(settings) as follows:
        star, *fans = await follows.stores.add_users(2 + QUIET_ACTIONS)
        took_s: list[float] = []

        async def act_on(fan: int, until_s: float) -> None:
            while time.monotonic() < until_s:
                took_s.append(await follows.act(fan, star, DO))

        async with follows.stores.database.write(timeout_s=30) as connection:
            await lock_guard(connection, Kind.RELATION)
            until_s = time.monotonic() + 2
            await asyncio.gather(*(act_on(fan, until_s) for fan in fans))

    assert len(took_s) > len(fans)
    assert max(took_s) < WAIT_S


async def test_a_reply_waits_no_longer_than_its_limit_and_the_next_ones_not_at_all(
    settings: AllSettings,
):
    async with open_follows(settings, effect_wait_s=1.0) as follows:
        star, *fans = await follows.stores.add_users(6)
        async with follows.stores.database.write(timeout_s=30) as connection:
            await lock_guard(connection, Kind.RELATION)

            first_s = await follows.act(fans[0], star, DO)
            began = time.monotonic()
            for fan in fans[1:]:
                await follows.act(fan, star, DO)
            others_s = time.monotonic() - began

        assert 1.0 <= first_s < WAIT_S
        # Together they take less than two of them would wait.
        assert others_s < 2.0


async def test_while_mysql_is_down_actions_are_accepted_without_a_wait_for_each(
    settings: AllSettings, servers: Stack
):
    async with open_follows(settings, effect_wait_s=1.0) as follows:
        one, other = await follows.stores.add_users(2)
        await follows.act(one, other, DO)  # From here on it is remembered that both exist.
        await asyncio.to_thread(servers.stop, "mysql")
        try:
            await follows.act(one, other, UNDO)
            took_s = [await follows.act(one, other, kind) for kind in (DO, UNDO, DO)]
        finally:
            await asyncio.to_thread(servers.start, "mysql")
            await asyncio.to_thread(servers.wait_ready, "mysql")

        # Together they take less than two of them would wait.
        assert sum(took_s) < 2.0

        async def is_visible_at_once() -> bool:
            await follows.act(one, other, UNDO)
            await follows.act(one, other, DO)
            return bool(await follows.followers_of(other) == [one])

        await eventually(is_visible_at_once)


async def test_while_another_process_looks_for_work_an_action_is_visible_at_once_nevertheless(
    follows: Follows,
):
    one, other = await follows.stores.add_users(2)
    await follows.stores.redis.set(flush_lock_key(Kind.RELATION), "somebody", px=50)

    await follows.act(one, other, DO)

    assert await follows.followers_of(other) == [one]
