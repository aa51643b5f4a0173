"""Registers in Redis and MySQL: the greater version wins everywhere, and the counters are exact."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dal.db.absorption import absorb_actions
from dal.redis.clock import ActionClock
from dal.redis.keys import clock_key, register_keys
from dal.redis.pending import READ_TTL_MS, find_registers
from dal.registers.model import ActionType, Kind
from tests.action_world import World, open_world

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION


@pytest.fixture
async def world(settings) -> AsyncIterator[World]:
    async with open_world(settings.mysql, settings.redis_actions) as world:
        yield world


@pytest.fixture
async def people(world: World) -> list[int]:
    return await world.add_users(3)


# The clock


async def test_versions_never_repeat_however_many_ask_at_once(world):
    clocks = [ActionClock(world.redis) for _ in range(3)]
    drawn = await asyncio.gather(*(clocks[n % 3].draw() for n in range(3000)))
    assert len(set(drawn)) == 3000
    assert await clocks[0].draw() > max(drawn)


async def test_versions_go_on_growing_when_the_clock_goes_back(world):
    clock = ActionClock(world.redis)
    ahead = await clock.draw() + 1_000_000
    await world.redis.set(clock_key(), ahead)

    assert await clock.draw() == ahead + 1


async def test_whoever_gives_up_waiting_for_a_version_takes_none_from_others(world):
    clock = ActionClock(world.redis)
    tasks = [asyncio.create_task(clock.draw()) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()

    drawn = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(drawn[3], asyncio.CancelledError)
    assert len({version for version in drawn if isinstance(version, int)}) == 9


# Redis


async def test_an_older_unlike_cannot_undo_a_newer_like(world, people):
    store = world.store(FAVORITE)
    older = await world.act(people[0], 1, UNDO)
    newer = await world.act(people[0], 1, DO)

    await store.apply_actions([newer])
    await store.apply_actions([older])

    assert await store.list_pending_of(people[0]) == [newer]


async def test_of_one_batch_the_newest_counts_in_any_order(world, people):
    store = world.store(RELATION)
    first, second, third = [await world.act(people[0], people[1], kind) for kind in (DO, UNDO, DO)]

    await store.apply_actions([third, first, second])

    assert await store.list_pending_of(people[0]) == [third]


async def test_a_delivery_that_comes_again_after_the_flush_is_not_pending_again(world, people):
    store = world.store(FAVORITE)
    action = await world.act(people[0], 1, DO)
    await store.apply_actions([action])
    await store.settle([action])

    assert await store.apply_actions([action]) == 0

    assert await store.list_pending_of(people[0]) == []
    assert action not in await store.list_pending(10_000)


async def test_settling_leaves_what_is_newer_pending(world, people):
    store = world.store(FAVORITE)
    older = await world.act(people[0], 1, DO)
    newer = await world.act(people[0], 1, UNDO)
    await store.apply_actions([older])
    await store.apply_actions([newer])

    assert await store.settle([older]) == 0

    assert await store.list_pending_of(people[0]) == [newer]
    assert newer in await store.list_pending(10_000)


async def test_what_was_settled_can_still_be_read_for_a_while(world, people):
    store = world.store(FAVORITE)
    action = await world.act(people[0], 1, DO)
    await store.apply_actions([action])
    await store.settle([action])

    registers = await find_registers(world.redis, people[0], {FAVORITE: [1, 2]})

    assert registers == {FAVORITE: {1: action}}
    read_key, pending_key = register_keys(FAVORITE, people[0], 1)
    assert 0 < await world.redis.pttl(read_key) <= READ_TTL_MS
    assert not await world.redis.exists(pending_key)


async def test_a_pending_register_does_not_expire(world, people):
    store = world.store(FAVORITE)
    await store.apply_actions([await world.act(people[0], 1, DO)])
    assert await world.redis.pttl(register_keys(FAVORITE, people[0], 1)[1]) == -1
    assert await world.redis.get(register_keys(FAVORITE, people[0], 1)[1])


async def test_pending_actions_come_oldest_first(world):
    store = world.store(RELATION)
    users = await world.add_users(40)
    actions = [await world.act(user, 1, DO) for user in users]
    await store.apply_actions(reversed(actions))

    mine = [action for action in await store.list_pending(10_000) if action.user_id in set(users)]

    assert sorted(mine, key=lambda action: action.version) == actions
    oldest = await store.list_pending(5)
    assert {action.version for action in oldest} == {
        action.version
        for action in sorted(await store.list_pending(10_000), key=lambda a: a.version)[:5]
    }


async def test_an_index_entry_without_its_register_goes_away(world, people):
    store = world.store(FAVORITE)
    await store.apply_actions([await world.act(people[0], 1, DO)])
    await world.redis.delete(register_keys(FAVORITE, people[0], 1)[1])

    await store.list_pending(10_000)

    assert await store.list_pending_of(people[0]) == []


async def test_an_action_that_was_set_aside_comes_back_unless_a_newer_one_is_pending(world, people):
    store = world.store(FAVORITE)
    refused = await world.act(people[0], 1, DO)
    await store.apply_actions([refused])
    assert await store.set_aside(refused, "reason: with :: colons")
    assert await store.list_pending_of(people[0]) == []
    aside = {item.action: item.reason for item in await store.list_aside()}
    assert aside[refused] == "reason: with :: colons"

    assert await store.bring_back(refused)

    assert await store.list_pending_of(people[0]) == [refused]
    assert refused not in {item.action for item in await store.list_aside()}

    await store.set_aside(refused, "again")
    newer = await world.act(people[0], 1, UNDO)
    await store.apply_actions([newer])
    assert not await store.bring_back(refused)
    assert await store.list_pending_of(people[0]) == [newer]
    await store.settle([newer])


async def test_one_process_at_a_time_holds_the_flush_lock(world):
    store = world.store(RELATION)
    async with store.lock_flush() as first:
        assert first is not None
        async with store.lock_flush() as second:
            assert second is None
        assert await first.extend()
        await world.redis.delete("{relation}:flush-lock")
        assert not await first.extend()
    async with store.lock_flush() as third:
        assert third is not None


async def test_a_redis_that_was_started_again_gets_its_scripts_again(world, people):
    await world.redis.script_flush()
    await world.store(FAVORITE).apply_actions([await world.act(people[0], 1, DO)])
    assert len(await world.store(FAVORITE).list_pending_of(people[0])) == 1


# MySQL


async def test_likes_reach_rows_and_counters(world, people):
    author, fan, other = people
    [video] = await world.add_videos(author, 1)

    flips = await absorb_actions(
        world.database,
        FAVORITE,
        [await world.act(fan, video, DO), await world.act(other, video, DO)],
    )

    assert flips == 2
    assert await world.rows(FAVORITE, people) == {(fan, video, True), (other, video, True)}
    assert await world.favorite_count(video) == 2
    assert (await world.counters(author))["total_favorited"] == 2
    assert (await world.counters(fan))["favorite_count"] == 1


async def test_follows_reach_rows_and_counters_of_both(world, people):
    first, second, third = people
    await absorb_actions(
        world.database,
        RELATION,
        [
            await world.act(first, second, DO),
            await world.act(second, first, DO),
            await world.act(third, second, DO),
        ],
    )
    await absorb_actions(world.database, RELATION, [await world.act(first, second, UNDO)])

    counters = [await world.counters(person) for person in people]
    assert [item["following_count"] for item in counters] == [0, 1, 1]
    assert [item["follower_count"] for item in counters] == [1, 1, 0]


async def test_absorbing_the_same_batch_again_changes_nothing(world, people):
    author, fan, _other = people
    [video] = await world.add_videos(author, 1)
    batch = [await world.act(fan, video, DO)]
    await absorb_actions(world.database, FAVORITE, batch)

    assert await absorb_actions(world.database, FAVORITE, batch) == 0

    assert await world.favorite_count(video) == 1


async def test_doing_twice_counts_once_and_moves_the_action_forward(world, people):
    author, fan, _other = people
    [video] = await world.add_videos(author, 1)
    await absorb_actions(world.database, FAVORITE, [await world.act(fan, video, DO)])
    await absorb_actions(world.database, FAVORITE, [await world.act(fan, video, DO)])
    assert await world.favorite_count(video) == 1


async def test_a_stalled_flusher_cannot_write_an_old_like_over_a_newer_unlike(world, people):
    author, fan, _other = people
    [video] = await world.add_videos(author, 1)
    like, unlike = await world.act(fan, video, DO), await world.act(fan, video, UNDO)
    await absorb_actions(world.database, FAVORITE, [unlike])

    await absorb_actions(world.database, FAVORITE, [like])

    assert await world.rows(FAVORITE, people) == {(fan, video, False)}
    assert await world.favorite_count(video) == 0


async def test_undoing_what_was_never_done_leaves_a_row_and_no_count(world, people):
    author, fan, _other = people
    [video] = await world.add_videos(author, 1)
    await absorb_actions(world.database, FAVORITE, [await world.act(fan, video, UNDO)])
    assert await world.rows(FAVORITE, people) == {(fan, video, False)}
    assert (await world.counters(fan))["favorite_count"] == 0


async def test_a_like_of_a_video_that_is_gone_counts_for_its_fan_alone(world, people):
    action = await world.act(people[0], 2**40, DO)
    await absorb_actions(world.database, FAVORITE, [action])
    assert (await world.counters(people[0]))["favorite_count"] == 1


async def test_flushers_at_the_same_time_are_exact(world):
    users = await world.add_users(20)
    author, *fans = users
    [video] = await world.add_videos(author, 1)
    batches = [[await world.act(fan, video, DO) for fan in fans] for _ in range(4)]
    batches += [
        [replace(action, type=UNDO, version=action.version + 1) for action in batches[0][::2]]
    ]

    await asyncio.gather(
        *(absorb_actions(world.database, FAVORITE, batch) for batch in batches * 2)
    )

    assert await world.favorite_count(video) == len(fans)
    assert (await world.counters(author))["total_favorited"] == len(fans)
