"""Batches of actions in MySQL: the greater version wins, whoever writes it, and the counters are exact."""

import asyncio
from dataclasses import replace

from dal.db.absorption import absorb_actions
from dal.registers.model import ActionType, Kind

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION


async def test_likes_reach_rows_and_counters(stores, people):
    author, fan, other = people
    [video] = await stores.add_videos(author, 1)

    flips = await absorb_actions(
        stores.database,
        FAVORITE,
        [await stores.act(fan, video, DO), await stores.act(other, video, DO)],
    )

    assert len(flips) == 2
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

    assert await absorb_actions(stores.database, FAVORITE, batch) == []

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
