"""Registers in Redis and MySQL: the greater version wins everywhere, and the counters are exact."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dal.db.absorption import absorb_actions
from dal.redis.clock import VersionClock
from dal.redis.keys import clock_key, register_keys
from dal.redis.overlay import Overlay
from dal.redis.pending import READ_TTL_MS
from dal.registers.model import ActionType, Kind
from tests.register_stores import RegisterStores, open_stores

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION


@pytest.fixture
async def stores(settings) -> AsyncIterator[RegisterStores]:
    async with open_stores(settings.mysql, settings.redis_actions) as stores:
        yield stores


@pytest.fixture
async def people(stores: RegisterStores) -> list[int]:
    return await stores.add_users(3)


# The clock


async def test_versions_never_repeat_however_many_ask_at_once(stores):
    clocks = [VersionClock(stores.redis) for _ in range(3)]
    drawn = await asyncio.gather(*(clocks[n % 3].draw() for n in range(3000)))
    assert len(set(drawn)) == 3000
    assert await clocks[0].draw() > max(drawn)


async def test_versions_go_on_growing_when_the_clock_goes_back(stores):
    clock = VersionClock(stores.redis)
    ahead = await clock.draw() + 1_000_000
    await stores.redis.set(clock_key(), ahead)

    assert await clock.draw() == ahead + 1


async def test_whoever_gives_up_waiting_for_a_version_takes_none_from_others(stores):
    clock = VersionClock(stores.redis)
    tasks = [asyncio.create_task(clock.draw()) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()

    drawn = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(drawn[3], asyncio.CancelledError)
    assert len({version for version in drawn if isinstance(version, int)}) == 9


# Redis


async def test_an_older_unlike_cannot_undo_a_newer_like(stores, people):
    pending = stores.pending(FAVORITE)
    older = await stores.act(people[0], 1, UNDO)
    newer = await stores.act(people[0], 1, DO)

    await pending.apply_actions([newer])
    await pending.apply_actions([older])

    assert await stores.list_pending_of(FAVORITE, people[0]) == [newer]


async def test_of_one_batch_the_newest_counts_in_any_order(stores, people):
    pending = stores.pending(RELATION)
    first, second, third = [await stores.act(people[0], people[1], kind) for kind in (DO, UNDO, DO)]

    await pending.apply_actions([third, first, second])

    assert await stores.list_pending_of(RELATION, people[0]) == [third]


async def test_a_delivery_that_comes_again_after_the_flush_is_not_pending_again(stores, people):
    pending = stores.pending(FAVORITE)
    action = await stores.act(people[0], 1, DO)
    await pending.apply_actions([action])
    await pending.settle([action])

    assert await pending.apply_actions([action]) == 0

    assert await stores.list_pending_of(FAVORITE, people[0]) == []
    assert action not in await pending.list_oldest(10_000)


async def test_settling_leaves_what_is_newer_pending(stores, people):
    pending = stores.pending(FAVORITE)
    older = await stores.act(people[0], 1, DO)
    newer = await stores.act(people[0], 1, UNDO)
    await pending.apply_actions([older])
    await pending.apply_actions([newer])

    assert await pending.settle([older]) == 0

    assert await stores.list_pending_of(FAVORITE, people[0]) == [newer]
    assert newer in await pending.list_oldest(10_000)


async def test_what_was_settled_can_still_be_read_for_a_while(stores, people):
    pending = stores.pending(FAVORITE)
    action = await stores.act(people[0], 1, DO)
    await pending.apply_actions([action])
    await pending.settle([action])

    registers = await Overlay(stores.redis).map_registers(people[0], {FAVORITE: [1, 2]})

    assert registers == {FAVORITE: {1: action}}
    read_key, pending_key = register_keys(FAVORITE, people[0], 1)
    assert 0 < await stores.redis.pttl(read_key) <= READ_TTL_MS
    assert not await stores.redis.exists(pending_key)


async def test_a_pending_register_does_not_expire(stores, people):
    pending = stores.pending(FAVORITE)
    await pending.apply_actions([await stores.act(people[0], 1, DO)])
    assert await stores.redis.pttl(register_keys(FAVORITE, people[0], 1)[1]) == -1
    assert await stores.redis.get(register_keys(FAVORITE, people[0], 1)[1])


async def test_pending_actions_come_oldest_first(stores):
    pending = stores.pending(RELATION)
    users = await stores.add_users(40)
    actions = [await stores.act(user, 1, DO) for user in users]
    await pending.apply_actions(reversed(actions))

    mine = [action for action in await pending.list_oldest(10_000) if action.user_id in set(users)]

    assert sorted(mine, key=lambda action: action.version) == actions
    oldest = await pending.list_oldest(5)
    assert {action.version for action in oldest} == {
        action.version
        for action in sorted(await pending.list_oldest(10_000), key=lambda a: a.version)[:5]
    }


async def test_an_index_entry_without_its_register_goes_away(stores, people):
    pending = stores.pending(FAVORITE)
    await pending.apply_actions([await stores.act(people[0], 1, DO)])
    await stores.redis.delete(register_keys(FAVORITE, people[0], 1)[1])

    await pending.list_oldest(10_000)

    assert await stores.list_pending_of(FAVORITE, people[0]) == []


async def test_an_action_that_was_set_aside_comes_back_unless_a_newer_one_is_pending(
    stores, people
):
    pending = stores.pending(FAVORITE)
    refused = await stores.act(people[0], 1, DO)
    await pending.apply_actions([refused])
    assert await pending.set_aside(refused, "reason: with :: colons")
    assert await stores.list_pending_of(FAVORITE, people[0]) == []
    aside = {item.action: item.reason for item in await pending.list_aside()}
    assert aside[refused] == "reason: with :: colons"

    assert await pending.bring_back(refused)

    assert await stores.list_pending_of(FAVORITE, people[0]) == [refused]
    assert refused not in {item.action for item in await pending.list_aside()}

    await pending.set_aside(refused, "again")
    newer = await stores.act(people[0], 1, UNDO)
    await pending.apply_actions([newer])
    assert not await pending.bring_back(refused)
    assert await stores.list_pending_of(FAVORITE, people[0]) == [newer]
    await pending.settle([newer])


async def test_one_process_at_a_time_holds_the_flush_lock(stores):
    pending = stores.pending(RELATION)
    async with pending.lock_flush() as first:
        assert first is not None
        async with pending.lock_flush() as second:
            assert second is None
        assert await first.extend()
        await stores.redis.delete("{relation}:flush-lock")
        assert not await first.extend()
    async with pending.lock_flush() as third:
        assert third is not None


async def test_a_redis_that_was_started_again_gets_its_scripts_again(stores, people):
    await stores.redis.script_flush()
    await stores.pending(FAVORITE).apply_actions([await stores.act(people[0], 1, DO)])
    assert len(await stores.list_pending_of(FAVORITE, people[0])) == 1


# MySQL


async def test_likes_reach_rows_and_counters(stores, people):
    author, fan, other = people
    [video] = await stores.add_videos(author, 1)

    flips = await absorb_actions(
        stores.database,
        FAVORITE,
        [await stores.act(fan, video, DO), await stores.act(other, video, DO)],
    )

    assert flips == 2
    assert await stores.rows(FAVORITE, people) == {(fan, video, True), (other, video, True)}
    assert await stores.favorite_count(video) == 2
    assert (await stores.counters(author))["total_favorited"] == 2
    assert (await stores.counters(fan))["favorite_count"] == 1


async def test_follows_reach_rows_and_counters_of_both(stores, people):
    first, second, third = people
    await absorb_actions(
        stores.database,
        RELATION,
        [
            await stores.act(first, second, DO),
            await stores.act(second, first, DO),
            await stores.act(third, second, DO),
        ],
    )
    await absorb_actions(stores.database, RELATION, [await stores.act(first, second, UNDO)])

    counters = [await stores.counters(person) for person in people]
    assert [item["following_count"] for item in counters] == [0, 1, 1]
    assert [item["follower_count"] for item in counters] == [1, 1, 0]


async def test_absorbing_the_same_batch_again_changes_nothing(stores, people):
    author, fan, _other = people
    [video] = await stores.add_videos(author, 1)
    batch = [await stores.act(fan, video, DO)]
    await absorb_actions(stores.database, FAVORITE, batch)

    assert await absorb_actions(stores.database, FAVORITE, batch) == 0

    assert await stores.favorite_count(video) == 1


async def test_doing_twice_counts_once_and_moves_the_action_forward(stores, people):
    author, fan, _other = people
    [video] = await stores.add_videos(author, 1)
    await absorb_actions(stores.database, FAVORITE, [await stores.act(fan, video, DO)])
    await absorb_actions(stores.database, FAVORITE, [await stores.act(fan, video, DO)])
    assert await stores.favorite_count(video) == 1


async def test_a_stalled_flusher_cannot_write_an_old_like_over_a_newer_unlike(stores, people):
    author, fan, _other = people
    [video] = await stores.add_videos(author, 1)
    like, unlike = await stores.act(fan, video, DO), await stores.act(fan, video, UNDO)
    await absorb_actions(stores.database, FAVORITE, [unlike])

    await absorb_actions(stores.database, FAVORITE, [like])

    assert await stores.rows(FAVORITE, people) == {(fan, video, False)}
    assert await stores.favorite_count(video) == 0


async def test_undoing_what_was_never_done_leaves_a_row_and_no_count(stores, people):
    author, fan, _other = people
    [video] = await stores.add_videos(author, 1)
    await absorb_actions(stores.database, FAVORITE, [await stores.act(fan, video, UNDO)])
    assert await stores.rows(FAVORITE, people) == {(fan, video, False)}
    assert (await stores.counters(fan))["favorite_count"] == 0


async def test_a_like_of_a_video_that_is_gone_counts_for_its_fan_alone(stores, people):
    action = await stores.act(people[0], 2**40, DO)
    await absorb_actions(stores.database, FAVORITE, [action])
    assert (await stores.counters(people[0]))["favorite_count"] == 1


async def test_flushers_at_the_same_time_are_exact(stores):
    users = await stores.add_users(20)
    author, *fans = users
    [video] = await stores.add_videos(author, 1)
    batches = [[await stores.act(fan, video, DO) for fan in fans] for _ in range(4)]
    batches += [
        [replace(action, type=UNDO, version=action.version + 1) for action in batches[0][::2]]
    ]

    await asyncio.gather(
        *(absorb_actions(stores.database, FAVORITE, batch) for batch in batches * 2)
    )

    assert await stores.favorite_count(video) == len(fans)
    assert (await stores.counters(author))["total_favorited"] == len(fans)
