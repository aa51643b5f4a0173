"""What one process keeps in memory shows every change of another one at once, or is not shown."""

import asyncio
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, update

from dal.db.accounts import AccountState
from dal.db.models import FavoriteVideo
from dal.db.models import Video as VideoRow
from dal.redis.changes import ChangeLog, ChangeWatch, Subject
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from dal.registers.model import ActionType, Kind
from pkg.paging import FROM_THE_START, PageRequest
from protos.comment_pb2 import Comment
from protos.user_pb2 import User
from protos.video_pb2 import Video
from scripts.operator.account import change_account
from scripts.operator.recount import recount
from services.actions.flusher import Flusher
from services.comment.comments import Comments
from services.comment.lists import CommentLists
from services.presenters import DELETED_USER_NAME, Presenter
from services.video.timeline import Timeline
from tests.freezing import frozen
from tests.register_stores import RegisterStores
from tests.serving import counted_statements

DO, UNDO = ActionType.DO, ActionType.UNDO
NEWEST = PageRequest(30)


@dataclass
class Reader:
    """A process that keeps what it has shown."""

    presenter: Presenter
    timeline: Timeline
    comments: CommentLists

    async def feed(self, viewer_id: int | None = None) -> list[Video]:
        await self.presenter.look()
        listed = await self.timeline.list_feed(FROM_THE_START)
        cards = await self.presenter.list_video_cards([video.id for video in listed], viewer_id)
        return [Video.FromString(card) for card in cards]

    async def works_of(self, author_id: int) -> list[int]:
        await self.presenter.look()
        return [video.id for video in await self.timeline.list_of_author(author_id, NEWEST)]

    async def users(self, *user_ids: int) -> list[User]:
        cards = await self.presenter.list_user_cards(user_ids, None)
        return [User.FromString(card) for card in cards]

    async def comments_on(self, video_id: int, viewer_id: int | None = None) -> list[Comment]:
        page = await self.comments.list_page(video_id, NEWEST, viewer_id=viewer_id)
        return [Comment.FromString(card) for card in page.items]


@pytest.fixture
def reader(database, actions_redis) -> Reader:
    watch = ChangeWatch(actions_redis)
    presenter = Presenter(database, ViewerFlags(database, Overlay(actions_redis), watch), watch)
    comments = CommentLists(database, presenter, ZoneInfo("UTC"), watch)
    return Reader(presenter, Timeline(database, watch), comments)


@pytest.fixture
def changes(actions_redis, videos) -> ChangeLog:
    log = ChangeLog(actions_redis)
    videos.changes = log
    return log


@pytest.fixture
def stores(database, actions_redis) -> RegisterStores:
    return RegisterStores(database, actions_redis)


async def test_a_like_is_seen_by_its_viewer_when_it_is_pending_and_counted_when_it_is_flushed(
    reader, changes, videos, stores, *, make_user
):
    await videos.add_published()
    fan = await make_user()
    [card] = await reader.feed(fan)
    await reader.users(fan, videos.author_id)
    pending = stores.pending(Kind.FAVORITE)

    for action_type, count in ((DO, 1), (UNDO, 0)):
        await pending.apply_actions([await stores.act(fan, card.id, action_type)])

        [seen] = await reader.feed(fan)
        assert (seen.is_favorite, seen.favorite_count) == (bool(count), 1 - count)

        await Flusher(stores.database, pending, changes, batch_size=1000).flush()

        [seen] = await reader.feed(fan)
        assert (seen.is_favorite, seen.favorite_count) == (bool(count), count)
        assert seen.author.total_favorited == count
        assert [user.favorite_count for user in await reader.users(fan)] == [count]
        [for_others] = await reader.feed()
        assert (for_others.is_favorite, for_others.favorite_count) == (False, count)


async def test_a_follow_is_on_both_cards_when_it_is_flushed(reader, changes, stores):
    one, other = await stores.add_users(2)
    await reader.users(one, other)
    pending = stores.pending(Kind.RELATION)
    await pending.apply_actions([await stores.act(one, other, DO)])

    await Flusher(stores.database, pending, changes, batch_size=1000).flush()

    cards = await reader.users(one, other)
    assert [(card.follow_count, card.follower_count) for card in cards] == [(1, 0), (0, 1)]


async def test_a_publication_is_in_feed_and_list_and_counted_at_once(reader, changes, videos):
    assert await reader.feed() == []
    assert await reader.works_of(videos.author_id) == []
    await reader.users(videos.author_id)

    await videos.add_published()

    [card] = await reader.feed()
    assert await reader.works_of(videos.author_id) == [card.id]
    assert card.author.work_count == 1


async def test_comments_and_likes_of_them_are_seen_at_once(reader, changes, videos, make_user):
    await videos.add_published()
    [card] = await reader.feed()
    assert await reader.comments_on(card.id) == []
    viewer = await make_user()
    comments = Comments(videos.database, changes, reader.comments)

    await comments.add(video_id=card.id, user_id=viewer, text="好")
    [comment] = await reader.comments_on(card.id, viewer)
    assert (comment.content, comment.like_count) == ("好", 0)
    assert [video.comment_count for video in await reader.feed()] == [1]

    for active in (True, False):
        await comments.favorite(comment_id=comment.id, user_id=viewer, active=active)
        [seen] = await reader.comments_on(card.id, viewer)
        assert (seen.is_favorite, seen.like_count) == (active, int(active))

    await comments.delete(comment_id=comment.id, video_id=card.id, user_id=viewer)
    assert await reader.comments_on(card.id) == []
    assert [video.comment_count for video in await reader.feed()] == [0]


async def test_who_was_asked_for_too_early_is_there_once_announced(reader, changes, make_user):
    known = await make_user()
    assert await reader.users(known + 1) == []
    registered = await make_user()
    assert registered == known + 1

    await changes.announce([(Subject.USER, registered)])

    assert [user.id for user in await reader.users(registered)] == [registered]


async def test_what_an_operator_changes_is_seen_when_the_command_ends(
    reader, changes, videos, settings
):
    await videos.add_published()
    [card] = await reader.feed()
    async with videos.database.write() as connection:
        await connection.execute(update(VideoRow).values(comment_count=7))

    await recount(settings, fix=True)

    assert [video.comment_count for video in await reader.feed()] == [0]

    await change_account(settings, videos.author_id, AccountState.DELETED)

    [seen] = await reader.feed()
    assert (seen.id, seen.author.name) == (card.id, DELETED_USER_NAME)
    assert await reader.users(videos.author_id) == []


async def test_warm_memory_answers_without_a_statement(reader, changes, videos, make_user):
    await videos.add_published()
    viewer = await make_user()
    [card] = await reader.feed(viewer)
    await reader.comments_on(card.id, viewer)

    with counted_statements() as statements:
        await reader.feed(viewer)
        await reader.users(videos.author_id)
        await reader.comments_on(card.id, viewer)

    assert statements == []


async def test_a_hundred_who_come_to_cold_memory_share_the_statements(
    reader, changes, videos, make_user
):
    await videos.add_published()
    viewers = [await make_user() for _ in range(5)]

    with counted_statements() as statements:
        feeds = await asyncio.gather(*(reader.feed(viewers[n % 5]) for n in range(100)))

    assert all(len(feed) == 1 for feed in feeds)
    # Two loads at most of each: page, video, author, and what the viewers like.
    assert len(statements) <= 8


async def test_while_the_log_cannot_be_read_rows_are_shown_and_memory_is_void_afterwards(
    reader, changes, videos, servers, *, make_user
):
    await videos.add_published()
    viewer = await make_user()
    [card] = await reader.feed(viewer)
    with frozen(servers.pid("redis-actions")):
        # Nobody can be told of this one.
        await videos.add_published()
        assert len(await reader.feed(viewer)) == 2

        async with videos.database.write() as connection:
            row = {"user_id": viewer, "video_id": card.id, "active": True, "acted_at_us": 1}
            await connection.execute(insert(FavoriteVideo).values(row))
        assert [seen.is_favorite for seen in await reader.feed(viewer)] == [False, True]

    assert [seen.is_favorite for seen in await reader.feed(viewer)] == [False, True]


async def test_who_likes_very_much_is_answered_from_rows_and_registers(
    reader, changes, videos, stores, *, monkeypatch, make_user
):
    monkeypatch.setattr("dal.registers.flags.MOST_TARGETS", 0)
    await videos.add_published()
    fan = await make_user()
    [card] = await reader.feed(fan)
    pending = stores.pending(Kind.FAVORITE)

    await pending.apply_actions([await stores.act(fan, card.id, DO)])
    await Flusher(stores.database, pending, changes, batch_size=1000).flush()

    [seen] = await reader.feed(fan)
    assert (seen.is_favorite, seen.favorite_count) == (True, 1)
