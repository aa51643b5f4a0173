"""Flags and lists: what somebody did shows at once to them, and reads go on without Redis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dal.db.absorption import absorb_actions
from dal.redis.client import open_redis
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from dal.registers.lists import RegisterLists, merge_pending
from dal.registers.model import Action, ActionType, Kind
from pkg.paging import FROM_THE_START, PageRequest, parse_page_request
from tests.register_stores import RegisterStores

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION


@pytest.fixture
def lists(stores) -> RegisterLists:
    return RegisterLists(stores.database, Overlay(stores.redis))


@pytest.fixture
def flags(stores) -> ViewerFlags:
    return ViewerFlags(stores.database, Overlay(stores.redis))


async def flush(stores: RegisterStores, kind: Kind, actions: list[Action]) -> None:
    await stores.pending(kind).apply_actions(actions)
    await absorb_actions(stores.database, kind, actions)
    await stores.pending(kind).settle(actions)


async def count_commands(stores: RegisterStores) -> int:
    return int((await stores.redis.info("stats"))["total_commands_processed"])


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


async def test_a_like_shows_in_flags_and_own_list_before_it_is_flushed(stores, lists, flags):
    author, fan = await stores.add_users(2)
    [video] = await stores.add_videos(author, 1)
    await stores.pending(FAVORITE).apply_actions([await stores.act(fan, video, DO)])

    assert (await flags.read(fan, video_ids=[video])).favorited == {video}
    own = await lists.list_targets(FAVORITE, fan, PageRequest(10), viewer_id=fan)
    assert own.items == [video]
    others = await lists.list_targets(FAVORITE, fan, PageRequest(10), viewer_id=author)
    assert others.items == []


async def test_an_undone_follow_leaves_flags_and_own_list_before_it_is_flushed(
    stores, lists, flags
):
    first, second = await stores.add_users(2)
    await flush(stores, RELATION, [await stores.act(first, second, DO)])
    await stores.pending(RELATION).apply_actions([await stores.act(first, second, UNDO)])

    assert await flags.list_followed(first, [second]) == frozenset()
    own = await lists.list_targets(RELATION, first, PageRequest(9), viewer_id=first)
    assert own.items == []


async def test_a_row_that_is_newer_than_a_register_wins(stores, flags):
    author, fan = await stores.add_users(2)
    [video] = await stores.add_videos(author, 1)
    like, unlike = await stores.act(fan, video, DO), await stores.act(fan, video, UNDO)
    await absorb_actions(stores.database, FAVORITE, [unlike])
    await stores.pending(FAVORITE).apply_actions([like])
    assert (await flags.read(fan, video_ids=[video])).favorited == frozenset()


async def test_flags_take_one_command_per_kind_for_any_number_of_targets(stores, flags):
    author, fan = await stores.add_users(2)
    videos = await stores.add_videos(author, 30)
    await flags.read(fan, user_ids=[author], video_ids=videos)  # Connects.
    before = await count_commands(stores)

    await flags.read(fan, user_ids=[author, *range(10_000, 10_100)], video_ids=videos)

    assert await count_commands(stores) - before <= 3  # Two MGET and this INFO.


async def test_nobody_follows_oneself_and_nobody_unknown_has_flags(stores, flags):
    [user] = await stores.add_users(1)
    assert await flags.list_followed(user, [user]) == frozenset()
    assert (await flags.read(None, video_ids=[1])).favorited == frozenset()


@pytest.mark.parametrize("limit", [1, 3, 5, 10, 11])
async def test_pages_of_an_own_list_have_everything_once_while_parts_are_pending(
    stores, lists, limit
):
    author, fan = await stores.add_users(2)
    videos = await stores.add_videos(author, 12)
    likes = [await stores.act(fan, video, DO) for video in videos]
    await flush(stores, FAVORITE, likes[:8])
    undone = [await stores.act(fan, video, UNDO) for video in videos[2:4]]
    await stores.pending(FAVORITE).apply_actions([*likes[8:], *undone])

    seen: list[int] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        wanted = parse_page_request(cursor, limit, default=100)
        page = await lists.list_targets(FAVORITE, fan, wanted, viewer_id=fan)
        seen += page.items
        cursor, pages = page.next_cursor, pages + 1

    left = [video for video in reversed(videos) if video not in videos[2:4]]
    assert seen == left
    assert pages == -(-len(left) // limit)


async def test_followers_and_friends(stores, lists):
    one, two, three = await stores.add_users(3)
    await flush(
        stores,
        RELATION,
        [
            await stores.act(two, one, DO),
            await stores.act(three, one, DO),
            await stores.act(one, two, DO),
        ],
    )
    followers = await lists.list_followers(one, PageRequest(10))
    assert followers.items == [three, two]
    friends = await lists.list_friends(one, PageRequest(10))
    assert friends.items == [two]
    assert await lists.are_friends(one, two)
    assert not await lists.are_friends(one, three)

    await stores.pending(RELATION).apply_actions(
        [await stores.act(one, three, DO), await stores.act(one, two, UNDO)]
    )

    friends = await lists.list_friends(one, PageRequest(10))
    assert friends.items == [three]
    assert await lists.are_friends(three, one)
    assert not await lists.are_friends(two, one)


async def test_reads_go_on_from_the_rows_while_redis_is_away(stores, servers, settings):
    author, fan = await stores.add_users(2)
    [video] = await stores.add_videos(author, 1)
    await flush(stores, FAVORITE, [await stores.act(fan, video, DO)])
    async with open_redis(settings.redis_actions) as redis:
        overlay = Overlay(redis)
        servers.stop("redis-actions")
        try:
            flags = ViewerFlags(stores.database, overlay)
            assert (await flags.read(fan, video_ids=[video])).favorited == {video}
            page = await RegisterLists(stores.database, overlay).list_targets(
                FAVORITE, fan, PageRequest(10), viewer_id=fan
            )
            assert page.items == [video]
        finally:
            servers.start("redis-actions")
