"""Comments in MySQL: counters stay exact and lists whole, whoever writes and deletes at the same time."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pytest
from sqlalchemy import func, insert, select, text

from dal.db import newest
from dal.db.comments import (
    CommentRow,
    NewComment,
    delete_comment,
    favorite_comment,
    insert_comments,
    list_comments,
    list_favorited_comments,
    map_comments,
)
from dal.db.engine import Database, open_database, retry_conflicts
from dal.db.models import Comment, FavoriteComment, Video, VideoStatus
from pkg.errors import CommentNotFound, PermissionDenied, VideoNotFound
from pkg.paging import FROM_THE_START
from tests.accounts import UserFactory
from tests.conftest import AllSettings

STRANGER = 2**40


@dataclass
class Board:
    """One video and what is said about it."""

    database: Database
    video_id: int
    author_id: int

    async def write(self, user_id: int, content: str = "好") -> CommentRow:
        [row] = (await add(self.database, [self.about(user_id, content)])).values()
        return row

    def about(self, user_id: int, content: str = "好") -> NewComment:
        created_at = datetime(2026, 1, 31, 23, 59, 59, 123000)  # noqa: DTZ001 - as stored
        return NewComment(self.video_id, user_id, content, created_at)

    async def delete(self, comment_id: int, user_id: int, video_id: int | None = None) -> None:
        async def transaction() -> None:
            async with self.database.write() as connection:
                await delete_comment(
                    connection,
                    comment_id=comment_id,
                    video_id=video_id or self.video_id,
                    user_id=user_id,
                )

        await retry_conflicts(transaction)

    async def like(self, comment_id: int, user_id: int, *, active: bool = True) -> None:
        async def transaction() -> None:
            async with self.database.write() as connection:
                await favorite_comment(
                    connection, comment_id=comment_id, user_id=user_id, active=active
                )

        await retry_conflicts(transaction)

    async def list(self, *, before_id: int = FROM_THE_START, limit: int = 500) -> list[CommentRow]:
        async with self.database.read_source() as connection:
            return await list_comments(
                connection, video_id=self.video_id, before_id=before_id, limit=limit
            )

    async def count(self) -> int:
        statement = select(Video.comment_count).where(Video.id == self.video_id)
        async with self.database.read_source() as connection:
            return int((await connection.execute(statement)).scalar_one())


async def add(database: Database, comments: Sequence[NewComment]) -> dict[NewComment, CommentRow]:
    async def transaction() -> dict[NewComment, CommentRow]:
        async with database.write() as connection:
            return await insert_comments(connection, comments)

    return await retry_conflicts(transaction)


async def insert_video(
    database: Database, author_id: int, status: VideoStatus = VideoStatus.PUBLISHED
) -> int:
    key = uuid.uuid4().hex
    published_at_ms = time.time_ns() % 2**61 if status is VideoStatus.PUBLISHED else None
    statement = insert(Video).values(
        author_id=author_id,
        title=key,
        upload_key=key,
        play_url=key,
        cover_url=key,
        status=status,
        published_at_ms=published_at_ms,
        created_at_ms=1,
    )
    async with database.write() as connection:
        return int((await connection.execute(statement)).lastrowid)


@pytest.fixture
async def database(settings: AllSettings) -> AsyncIterator[Database]:
    """Fifty writers of one video wait for each other; here they may take their time."""
    patient = settings.mysql.model_copy(update={"statement_timeout_s": 60, "connect_timeout_s": 60})
    async with open_database(patient) as opened:
        yield opened


@pytest.fixture
async def board(database: Database, make_user: UserFactory) -> Board:
    author_id = await make_user()
    return Board(database, await insert_video(database, author_id), author_id)


async def outcome(attempt: Awaitable[object]) -> type[Exception] | None:
    try:
        await attempt
    except Exception as exc:  # noqa: BLE001 - the class is what is looked at
        return type(exc)
    return None


async def test_the_count_is_exact_under_fifty_writers_and_deleters(board: Board):
    dice = random.Random(4)

    async def write_and_delete(user_id: int) -> None:
        mine = [await board.write(user_id) for _ in range(3)]
        for comment in mine:
            if dice.random() < 0.5:
                # The commenter twice and the video's author: one of them deletes it.
                outcomes = await asyncio.gather(
                    *(
                        outcome(board.delete(comment.id, who))
                        for who in (user_id, user_id, board.author_id)
                    )
                )
                assert sorted(map(str, outcomes)) == sorted(
                    map(str, [None, CommentNotFound, CommentNotFound])
                )

    await asyncio.gather(*(write_and_delete(STRANGER + n) for n in range(50)))

    assert await board.count() == len(await board.list())


async def test_a_comment_is_counted_and_listed_at_once_newest_first(board: Board):
    written = [await board.write(STRANGER, f"第{n}条 🐶") for n in range(5)]

    assert await board.list() == written[::-1]
    assert await board.count() == 5


async def test_comments_that_are_added_together_keep_their_order_under_each_video(
    database: Database, board: Board
):
    other = Board(database, await insert_video(database, STRANGER), STRANGER)
    nowhere = Board(database, 2**50, STRANGER)
    comments = [
        where.about(STRANGER + n, f"第{n}条") for n in range(5) for where in (other, nowhere, board)
    ]

    rows = await add(database, comments)

    assert list(rows) == [new for new in comments if new.video_id != nowhere.video_id]
    for where in (board, other):
        on_video = [rows[new] for new in comments if new.video_id == where.video_id]
        assert await where.list() == on_video[::-1]
        assert await where.count() == 5


@pytest.mark.parametrize("few", [1, 60])
async def test_lists_that_are_read_together_are_those_that_are_read_alone(
    database: Database, board: Board, monkeypatch: pytest.MonkeyPatch, few: int
):
    monkeypatch.setattr(newest, "FEW", few)
    other = Board(database, await insert_video(database, STRANGER), STRANGER)
    silent = Board(database, await insert_video(database, STRANGER), STRANGER)
    hidden_id = await insert_video(database, STRANGER, VideoStatus.PROCESSING)
    await other.write(STRANGER)
    for n in range(3):
        await board.write(STRANGER, f"第{n}条 🐶")
    gone = await board.write(STRANGER)
    await board.delete(gone.id, STRANGER)
    boards = [board, other, silent]

    async with database.read_source() as connection:
        together = await map_comments(
            connection, [hidden_id, 2**52, *(where.video_id for where in boards)], limit=9
        )

    assert together == {where.video_id: await where.list() for where in boards}


async def test_ids_are_right_where_the_server_leaves_gaps_between_them(
    database: Database, board: Board
):
    async with database.write() as connection:
        await connection.execute(text("SET auto_increment_increment = 3"))
        try:
            rows = await insert_comments(connection, [board.about(STRANGER + n) for n in range(4)])
        finally:
            await connection.execute(text("SET auto_increment_increment = DEFAULT"))

    assert await board.list() == list(rows.values())[::-1]


async def test_many_who_add_to_the_same_videos_at_once_lose_no_count(
    database: Database, board: Board
):
    boards = [
        board,
        *[Board(database, await insert_video(database, STRANGER), STRANGER) for _ in range(3)],
    ]
    batches = [[where.about(STRANGER + n) for where in boards[n % 4 :] + boards] for n in range(20)]

    await asyncio.gather(*(add(database, batch) for batch in batches))

    assert sum([await where.count() for where in boards]) == sum(map(len, batches))
    assert [await where.count() for where in boards] == [
        len(await where.list()) for where in boards
    ]


async def test_a_walk_through_the_list_shows_every_comment_once_while_others_write(board: Board):
    before = [await board.write(STRANGER) for _ in range(12)]
    walked: list[int] = []
    before_id = FROM_THE_START

    while page := await board.list(before_id=before_id, limit=5):
        walked += [comment.id for comment in page]
        before_id = page[-1].id
        await board.write(STRANGER)

    assert walked == [comment.id for comment in before[::-1]]


async def test_the_author_of_the_comment_and_the_author_of_the_video_may_delete(board: Board):
    mine, theirs = await board.write(STRANGER), await board.write(STRANGER)

    await board.delete(mine.id, STRANGER)
    await board.delete(theirs.id, board.author_id)

    assert await board.list() == []
    assert await board.count() == 0


async def test_nobody_else_may_delete_a_comment(board: Board):
    comment = await board.write(STRANGER)

    assert await outcome(board.delete(comment.id, STRANGER + 1)) is PermissionDenied
    assert await board.list() == [comment]
    assert await board.count() == 1


async def test_a_comment_is_deleted_under_its_own_video_only(database: Database, board: Board):
    comment = await board.write(STRANGER)
    other_id = await insert_video(database, STRANGER)

    assert await outcome(board.delete(comment.id, STRANGER, other_id)) is CommentNotFound
    assert await outcome(board.delete(comment.id, STRANGER, 2**50)) is VideoNotFound
    assert await board.list() == [comment]


@pytest.mark.parametrize("status", [s for s in VideoStatus if s is not VideoStatus.PUBLISHED])
async def test_a_video_that_is_not_published_takes_no_comments(
    database: Database, status: VideoStatus
):
    board = Board(database, await insert_video(database, STRANGER, status), STRANGER)

    assert await add(database, [board.about(STRANGER)]) == {}
    assert await board.count() == 0


async def test_likes_of_a_comment_are_counted_once_each(database: Database, board: Board):
    comment = await board.write(STRANGER)
    users = range(STRANGER, STRANGER + 10)

    await asyncio.gather(*(board.like(comment.id, user) for user in [*users, *users]))
    await asyncio.gather(
        *(board.like(comment.id, user, active=False) for user in [*users[:4], *users[:4]])
    )

    assert [row.like_count for row in await board.list()] == [6]
    assert await count_likes(database, comment.id) == 6
    assert await list_liked(database, users[5], comment.id) == {comment.id}
    assert await list_liked(database, users[0], comment.id) == set()


async def test_a_deleted_comment_cannot_be_liked(board: Board):
    comment = await board.write(STRANGER)
    await board.delete(comment.id, STRANGER)

    assert await outcome(board.like(comment.id, STRANGER)) is CommentNotFound
    assert await outcome(board.like(2**50, STRANGER)) is CommentNotFound


async def count_likes(database: Database, comment_id: int) -> int:
    statement = select(func.count()).where(FavoriteComment.comment_id == comment_id)
    async with database.read_source() as connection:
        found = int((await connection.execute(statement)).scalar_one())
        stored = await connection.execute(
            select(Comment.like_count).where(Comment.id == comment_id)
        )
        assert stored.scalar_one() == found
    return found


async def list_liked(database: Database, user_id: int, comment_id: int) -> set[int]:
    async with database.read_source() as connection:
        return await list_favorited_comments(connection, user_id=user_id, comment_ids=[comment_id])
