"""CommentService over real gRPC: what the app sees of comments."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import grpc
import pytest
from redis.asyncio import Redis
from sqlalchemy import update

from dal.db.accounts import AccountState
from dal.db.engine import Database
from dal.db.models import Comment as CommentModel
from dal.redis.changes import ChangeLog, ChangeWatch
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from pkg.errors import (
    CommentNotFound,
    InvalidParameter,
    PermissionDenied,
    Unauthenticated,
    VideoNotFound,
)
from pkg.token import TokenIssuer, TokenVerifier
from protos import comment_pb2_grpc
from protos.comment_pb2 import (
    Comment,
    CommentActionRequest,
    CommentFavoriteRequest,
    CommentListReply,
    CommentListRequest,
)
from scripts.operator.account import AccountSettings, change_account
from services.comment.comments import Comments
from services.comment.handler import CommentHandler
from services.comment.lists import CommentLists
from services.identity import Viewers
from services.presenters import DELETED_USER_NAME, Presenter
from tests.accounts import UserFactory
from tests.conftest import AllSettings
from tests.dal.test_comments import insert_video
from tests.serving import counted_statements, refused_with, serving

ZONE = ZoneInfo("Asia/Shanghai")


@dataclass
class Phones:
    """People with phones, and one video."""

    stub: "comment_pb2_grpc.CommentServiceAsyncStub"
    issuer: TokenIssuer
    video_id: int
    author_id: int

    async def write(self, user_id: int, text: str) -> Comment:
        reply = await self.stub.CommentAction(
            CommentActionRequest(
                token=self.issuer.issue(user_id),
                video_id=self.video_id,
                action_type=1,
                comment_text=text,
            )
        )
        return reply.comment

    async def delete(self, user_id: int, comment_id: int) -> bool:
        reply = await self.stub.CommentAction(
            CommentActionRequest(
                token=self.issuer.issue(user_id),
                video_id=self.video_id,
                action_type=2,
                comment_id=comment_id,
            )
        )
        return bool(reply.HasField("comment"))

    async def like(self, user_id: int, comment_id: int, action_type: int = 1) -> None:
        token = self.issuer.issue(user_id)
        await self.stub.CommentFavorite(
            CommentFavoriteRequest(token=token, comment_id=comment_id, action_type=action_type)
        )

    async def list(
        self, viewer_id: int | None = None, *, limit: int = 0, cursor: str = ""
    ) -> CommentListReply:
        token = self.issuer.issue(viewer_id) if viewer_id else "broken"
        return await self.stub.CommentList(
            CommentListRequest(token=token, video_id=self.video_id, limit=limit, cursor=cursor)
        )


@pytest.fixture
async def channel(
    settings: AllSettings, database: Database, actions_redis: Redis
) -> AsyncIterator[grpc.aio.Channel]:
    watch = ChangeWatch(actions_redis)
    presenter = Presenter(database, ViewerFlags(database, Overlay(actions_redis), watch), watch)
    lists = CommentLists(database, presenter, ZONE, watch)
    handler = CommentHandler(
        comments=Comments(database, ChangeLog(actions_redis), lists),
        lists=lists,
        viewers=Viewers(TokenVerifier(settings.token), database),
    )

    def add(server: grpc.aio.Server) -> None:
        comment_pb2_grpc.add_CommentServiceServicer_to_server(handler, server)

    async with serving(add) as opened:
        yield opened


@pytest.fixture
async def phones(
    settings: AllSettings, database: Database, channel: grpc.aio.Channel, make_user: UserFactory
) -> Phones:
    author_id = await make_user()
    return Phones(
        comment_pb2_grpc.CommentServiceStub(channel),
        TokenIssuer(settings.token),
        await insert_video(database, author_id),
        author_id,
    )


async def test_a_new_comment_comes_back_whole_and_is_in_the_list(
    phones: Phones, make_user: UserFactory
):
    viewer_id = await make_user(name="评论家😀")

    comment = await phones.write(viewer_id, "  é 真好看\n<b>🐶</b>  ")

    assert comment.content == "é 真好看\n<b>🐶</b>"
    assert (comment.user.id, comment.user.name) == (viewer_id, "评论家😀")
    assert comment.create_date == datetime.now(UTC).astimezone(ZONE).strftime("%m-%d")
    assert (comment.like_count, comment.tease_count, comment.is_favorite) == (0, 0, False)
    assert list((await phones.list(viewer_id)).comment_list) == [comment]


async def test_the_date_is_that_of_the_display_zone(
    phones: Phones, database: Database, make_user: UserFactory
):
    comment = await phones.write(await make_user(), "跨年")
    async with database.write() as connection:
        late = datetime(2025, 12, 31, 16, 0, 0, 500)  # noqa: DTZ001 - as stored: UTC
        statement = update(CommentModel).where(CommentModel.id == comment.id)
        await connection.execute(statement.values(created_at=late))

    assert [c.create_date for c in (await phones.list()).comment_list] == ["01-01"]


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[31mred", "end\x7f", "\x08"])
async def test_a_control_character_is_refused_and_lines_are_kept(phones: Phones, text: str):
    with refused_with(InvalidParameter):
        await phones.write(phones.author_id, text)
    assert (await phones.write(phones.author_id, "a\r\n\tb")).content == "a\r\n\tb"


@pytest.mark.parametrize("text", ["", "   \n ", "字" * 256])
async def test_a_text_has_1_to_255_characters(phones: Phones, text: str):
    with refused_with(InvalidParameter):
        await phones.write(phones.author_id, text)
    assert (await phones.write(phones.author_id, "🐶" * 255)).content == "🐶" * 255


async def test_only_the_two_authors_may_delete_and_only_once(
    phones: Phones, make_user: UserFactory
):
    commenter_id, stranger_id = await make_user(), await make_user()
    first, second = await phones.write(commenter_id, "一"), await phones.write(commenter_id, "二")

    with refused_with(PermissionDenied):
        await phones.delete(stranger_id, first.id)
    assert not await phones.delete(phones.author_id, first.id)
    assert not await phones.delete(commenter_id, second.id)
    with refused_with(CommentNotFound):
        await phones.delete(commenter_id, second.id)
    assert not (await phones.list()).comment_list


async def test_likes_of_comments_show_to_everyone_and_are_marked_for_who_likes(
    phones: Phones, make_user: UserFactory
):
    fan_id, other_id = await make_user(), await make_user()
    comment = await phones.write(other_id, "赞")
    for action_type in (1, 1):
        await phones.like(fan_id, comment.id, action_type)

    def shown(reply: CommentListReply) -> tuple[int, bool]:
        return reply.comment_list[0].like_count, reply.comment_list[0].is_favorite

    assert shown(await phones.list(fan_id)) == (1, True)
    assert shown(await phones.list(other_id)) == (1, False)
    assert shown(await phones.list()) == (1, False)
    for action_type in (2, 2):
        await phones.like(fan_id, comment.id, action_type)
    assert shown(await phones.list(fan_id)) == (0, False)


async def test_pages_follow_each_other_to_the_end(phones: Phones):
    written = [await phones.write(phones.author_id, str(n)) for n in range(7)]
    walked: list[int] = []
    cursor = ""

    while True:
        reply = await phones.list(limit=3, cursor=cursor)
        walked += [comment.id for comment in reply.comment_list]
        cursor = reply.next_cursor
        if not cursor:
            break

    assert walked == [comment.id for comment in written[::-1]]
    assert (await phones.list(limit=7)).next_cursor == ""


async def test_without_a_limit_the_list_holds_200(phones: Phones):
    await asyncio.gather(*(phones.write(phones.author_id, "很多") for _ in range(20)))
    for _ in range(9):
        await asyncio.gather(*(phones.write(phones.author_id, "很多") for _ in range(21)))

    reply = await phones.list()

    assert len(reply.comment_list) == 200
    assert len((await phones.list(limit=100, cursor=reply.next_cursor)).comment_list) == 9


async def test_the_author_of_a_comment_may_be_gone(
    phones: Phones, settings: AllSettings, make_user: UserFactory
):
    gone_id = await make_user()
    await phones.write(gone_id, "再见")

    operator = AccountSettings(
        log=settings.log, mysql=settings.mysql, redis_actions=settings.redis_actions
    )
    await change_account(operator, gone_id, AccountState.DELETED)

    [comment] = (await phones.list()).comment_list
    assert (comment.user.id, comment.user.name) == (gone_id, DELETED_USER_NAME)


async def test_a_long_list_takes_no_more_statements_than_a_short_one(
    phones: Phones, make_user: UserFactory
):
    viewer_id = await make_user()

    async def add_and_count(count: int) -> int:
        for _ in range(count):
            comment = await phones.write(await make_user(), "好")
            await phones.like(viewer_id, comment.id)
        with counted_statements() as statements:
            await phones.list(viewer_id)
        return len(statements)

    short = await add_and_count(1)
    long = await add_and_count(12)

    # Fewer where the viewer's likes are still in memory.
    assert long <= short <= 5


async def test_who_comments_at_once_shares_transactions(
    phones: Phones, database: Database, make_user: UserFactory
):
    users = [await make_user() for _ in range(20)]
    nowhere = replace(phones, video_id=2**50)
    for user_id in users:  # From here on the service knows that the accounts are there.
        await phones.list(user_id)

    with counted_statements() as statements:
        refused = asyncio.create_task(nowhere.write(users[0], "在吗"))
        written = await asyncio.gather(*(phones.write(user_id, str(user_id)) for user_id in users))
        with refused_with(VideoNotFound):
            await refused

    assert [comment.content for comment in written] == [str(user_id) for user_id in users]
    shown = (await phones.list()).comment_list
    assert {comment.id for comment in shown} == {comment.id for comment in written}
    assert len([sql for sql in statements if sql.startswith("INSERT")]) < len(users) / 2


async def test_what_cannot_be_is_refused(phones: Phones):
    comment = await phones.write(phones.author_id, "好")
    token = phones.issuer.issue(phones.author_id)

    with refused_with(Unauthenticated):
        await phones.stub.CommentAction(CommentActionRequest(video_id=1, action_type=1))
    with refused_with(Unauthenticated):
        await phones.stub.CommentFavorite(CommentFavoriteRequest(comment_id=comment.id))
    for action_type in (0, 3, -1):
        with refused_with(InvalidParameter):
            await phones.stub.CommentAction(
                CommentActionRequest(token=token, video_id=1, action_type=action_type)
            )
        with refused_with(InvalidParameter):
            await phones.like(phones.author_id, comment.id, action_type)
    for limit, cursor in ((201, ""), (-1, ""), (0, "nonsense")):
        with refused_with(InvalidParameter):
            await phones.list(limit=limit, cursor=cursor)
    with refused_with(VideoNotFound):
        await phones.stub.CommentList(CommentListRequest(video_id=2**50))
    with refused_with(CommentNotFound):
        await phones.like(phones.author_id, 2**50)
