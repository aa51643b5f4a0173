"""Flags and lists: what somebody did shows at once to them, and reads go on without Redis."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dal.db.absorption import absorb_actions
from dal.redis.client import open_redis
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from dal.registers.lists import ActionLists, merge_pending
from dal.registers.model import Action, ActionType, Kind
from pkg.paging import FROM_THE_START
from tests.action_world import World, open_world

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION


@pytest.fixture
async def world(settings) -> AsyncIterator[World]:
    async with open_world(settings.mysql, settings.redis_actions) as world:
        yield world


@pytest.fixture
def lists(world) -> ActionLists:
    return ActionLists(world.database, Overlay(world.redis))


@pytest.fixture
def flags(world) -> ViewerFlags:
    return ViewerFlags(world.database, Overlay(world.redis))


async def flush(world: World, kind: Kind, actions: list[Action]) -> None:
    await world.store(kind).apply_actions(actions)
    await absorb_actions(world.database, kind, actions)
    await world.store(kind).settle(actions)


async def count_commands(world: World) -> int:
    return int((await world.redis.info("stats"))["total_commands_processed"])


actions_of_one = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(ActionType)), max_size=12
).map(
    lambda steps: [
        Action(1, target, version, action_type)
        for version, (target, action_type) in enumerate(steps, 1)
    ]
)


@given(history=actions_of_one, absorbed=st.data())
def test_an_own_list_is_the_same_whatever_part_of_it_was_flushed(history, absorbed):
    rows: dict[int, Action] = {}
    pending: dict[int, Action] = {}
    for action in history:
        pending[action.target_id] = action
        if absorbed.draw(st.booleans()):
            rows[action.target_id] = action
            if absorbed.draw(st.booleans()):
                del pending[action.target_id]
    newest = [
        max((pending[target], rows.get(target, pending[target])), key=lambda item: item.version)
        for target in pending
    ]

    listed = merge_pending(
        [row for row in rows.values() if row.active], newest, before=FROM_THE_START
    )

    last = {action.target_id: action for action in history}
    expected = sorted((a for a in last.values() if a.active), key=lambda a: -a.version)
    assert listed == expected


async def test_a_like_shows_in_flags_and_own_list_before_it_is_flushed(world, lists, flags):
    author, fan = await world.add_users(2)
    [video] = await world.add_videos(author, 1)
    await world.store(FAVORITE).apply_actions([await world.act(fan, video, DO)])

    assert await flags.list_favorited(fan, [video]) == {video}
    own = await lists.list_targets(FAVORITE, fan, viewer_id=fan, before=FROM_THE_START, limit=10)
    assert own.ids == [video]
    others = await lists.list_targets(
        FAVORITE, fan, viewer_id=author, before=FROM_THE_START, limit=10
    )
    assert others.ids == []


async def test_an_undone_follow_leaves_flags_and_own_list_before_it_is_flushed(world, lists, flags):
    first, second = await world.add_users(2)
    await flush(world, RELATION, [await world.act(first, second, DO)])
    await world.store(RELATION).apply_actions([await world.act(first, second, UNDO)])

    assert await flags.list_followed(first, [second]) == frozenset()
    own = await lists.list_targets(RELATION, first, viewer_id=first, before=FROM_THE_START, limit=9)
    assert own.ids == []


async def test_a_row_that_is_newer_than_a_register_wins(world, flags):
    author, fan = await world.add_users(2)
    [video] = await world.add_videos(author, 1)
    like, unlike = await world.act(fan, video, DO), await world.act(fan, video, UNDO)
    await absorb_actions(world.database, FAVORITE, [unlike])
    await world.store(FAVORITE).apply_actions([like])
    assert await flags.list_favorited(fan, [video]) == frozenset()


async def test_flags_take_one_command_per_kind_for_any_number_of_targets(world, flags):
    author, fan = await world.add_users(2)
    videos = await world.add_videos(author, 30)
    await flags.read(fan, user_ids=[author], video_ids=videos)  # Connects.
    before = await count_commands(world)

    await flags.read(fan, user_ids=[author, *range(10_000, 10_100)], video_ids=videos)

    assert await count_commands(world) - before <= 3  # Two MGET and this INFO.


async def test_nobody_follows_oneself_and_nobody_unknown_has_flags(world, flags):
    [user] = await world.add_users(1)
    assert await flags.list_followed(user, [user]) == frozenset()
    assert await flags.list_favorited(None, [1]) == frozenset()


async def test_pages_of_an_own_list_have_everything_once_while_parts_are_pending(world, lists):
    author, fan = await world.add_users(2)
    videos = await world.add_videos(author, 12)
    likes = [await world.act(fan, video, DO) for video in videos]
    await flush(world, FAVORITE, likes[:8])
    undone = [await world.act(fan, video, UNDO) for video in videos[2:4]]
    await world.store(FAVORITE).apply_actions([*likes[8:], *undone])

    seen: list[int] = []
    before: int | None = FROM_THE_START
    while before is not None:
        page = await lists.list_targets(FAVORITE, fan, viewer_id=fan, before=before, limit=3)
        seen += page.ids
        before = page.next_before

    assert seen == [video for video in reversed(videos) if video not in videos[2:4]]


async def test_followers_and_friends(world, lists):
    one, two, three = await world.add_users(3)
    await flush(
        world,
        RELATION,
        [
            await world.act(two, one, DO),
            await world.act(three, one, DO),
            await world.act(one, two, DO),
        ],
    )
    followers = await lists.list_followers(one, before=FROM_THE_START, limit=10)
    assert followers.ids == [three, two]
    friends = await lists.list_friends(one, before=FROM_THE_START, limit=10)
    assert friends.ids == [two]
    assert await lists.are_friends(one, two)
    assert not await lists.are_friends(one, three)

    await world.store(RELATION).apply_actions(
        [await world.act(one, three, DO), await world.act(one, two, UNDO)]
    )

    friends = await lists.list_friends(one, before=FROM_THE_START, limit=10)
    assert friends.ids == [three]
    assert await lists.are_friends(three, one)
    assert not await lists.are_friends(two, one)


async def test_reads_go_on_from_the_rows_while_redis_is_away(world, servers, settings):
    author, fan = await world.add_users(2)
    [video] = await world.add_videos(author, 1)
    await flush(world, FAVORITE, [await world.act(fan, video, DO)])
    async with open_redis(settings.redis_actions) as redis:
        overlay = Overlay(redis)
        servers.stop("redis-actions")
        try:
            flags = ViewerFlags(world.database, overlay)
            assert await flags.list_favorited(fan, [video]) == {video}
            page = await ActionLists(world.database, overlay).list_targets(
                FAVORITE, fan, viewer_id=fan, before=FROM_THE_START, limit=10
            )
            assert page.ids == [video]
        finally:
            servers.start("redis-actions")
