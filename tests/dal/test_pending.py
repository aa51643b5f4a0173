"""Pending actions in Redis: the greater version wins, and settling takes nothing that is newer."""

from dal.redis.keys import register_keys
from dal.redis.overlay import Overlay
from dal.redis.pending import READ_TTL_MS
from dal.registers.model import ActionType, Kind

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION


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


async def test_a_newer_action_that_was_set_aside_meanwhile_is_neither_lost_nor_discarded(
    stores, people
):
    pending = stores.pending(FAVORITE)
    older, newer = [await stores.act(people[0], 1, kind) for kind in (DO, UNDO)]
    for action in (older, newer):
        await pending.apply_actions([action])
        assert await pending.set_aside(action, "refused")

    assert not await pending.bring_back(older)
    assert not await pending.discard(older)

    assert newer in {item.action for item in await pending.list_aside()}
    assert await stores.list_pending_of(FAVORITE, people[0]) == []
    assert await pending.discard(newer)
    assert newer not in {item.action for item in await pending.list_aside()}


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
