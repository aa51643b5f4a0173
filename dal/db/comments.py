"""Queries on `comments` and `user_favorite_comments`.

Every write locks the parent first (the video, or for a like the comment) and keeps its counter in the same transaction, so that counters
are exact and writers never deadlock.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import orjson
from sqlalchemy import bindparam, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from dal.db.id_lists import WANTED, encode_ids
from dal.db.models import Comment, FavoriteComment, Video
from dal.db.newest import map_newest
from pkg.errors import CommentNotFound, PermissionDenied, VideoNotFound
from pkg.paging import FROM_THE_START


class CommentRow(NamedTuple):
    """A comment that is not deleted; `created_at` is UTC without saying so."""

    id: int
    user_id: int
    content: str
    like_count: int
    tease_count: int
    created_at: datetime


@dataclass(frozen=True, eq=False)
class NewComment:
    """A comment to be added, as the columns name it; two with the same text are two."""

    video_id: int
    user_id: int
    content: str
    created_at: datetime


COLUMNS: tuple[InstrumentedAttribute[Any], ...] = (
    Comment.id,
    Comment.user_id,
    Comment.content,
    Comment.like_count,
    Comment.tease_count,
    Comment.created_at,
)

PAGE = (
    select(*COLUMNS)
    .where(
        Comment.video_id == bindparam("video"),
        Comment.deleted_at.is_(None),
        Comment.id < bindparam("before_id"),
    )
    .order_by(Comment.id.desc())
    .limit(bindparam("at_most"))
    # Otherwise the optimizer may read all that is newer than the page, or the whole table.
    .with_hint(Comment, "FORCE INDEX (ix_comments_video)")
)
# In the order of ids: that is the order in which whoever writes locks videos.
COUNT = text("""
    UPDATE JSON_TABLE(:added, '$[*]' COLUMNS (id BIGINT UNSIGNED PATH '$[0]', comments BIGINT PATH '$[1]')) AS added
    STRAIGHT_JOIN videos ON videos.id = added.id AND videos.published_at_ms IS NOT NULL
    SET videos.comment_count = videos.comment_count + added.comments
""")
PUBLISHED = text(f"""
    SELECT videos.id FROM {WANTED}
    STRAIGHT_JOIN videos ON videos.id = wanted.id AND videos.published_at_ms IS NOT NULL
""")  # noqa: S608 - names of this package, no values
# The rows of one INSERT with VALUES get ids between which nobody else has one; how far apart they are is a setting of the server.
INSERTED = (
    select(Comment.id)
    .where(Comment.id >= bindparam("first"))
    .order_by(Comment.id)
    .limit(bindparam("many"))
)
OF_VIDEOS = text(f"""
    SELECT videos.id, videos.comment_count, comments.id, comments.id, comments.user_id, comments.content, comments.like_count,
      comments.tease_count, comments.created_at
    FROM {WANTED}
    STRAIGHT_JOIN videos ON videos.id = wanted.id AND videos.published_at_ms IS NOT NULL
    LEFT JOIN comments
      ON comments.video_id = videos.id AND comments.deleted_at IS NULL AND videos.comment_count <= :few
""")  # noqa: S608 - names of this package, no values


async def insert_comments(
    connection: AsyncConnection, comments: Sequence[NewComment]
) -> dict[NewComment, CommentRow]:
    """Add comments in this order and count them; what is about a video that is not published is left out."""
    counts = Counter(comment.video_id for comment in comments)
    counted = await connection.execute(
        COUNT, {"added": orjson.dumps(sorted(counts.items())).decode()}
    )
    if counted.rowcount < len(counts):
        published = set(await connection.scalars(PUBLISHED, {"ids": encode_ids(counts)}))
        comments = [comment for comment in comments if comment.video_id in published]
    if not comments:
        return {}
    result = await connection.execute(insert(Comment), [asdict(comment) for comment in comments])
    ids: Sequence[int] = [result.lastrowid]
    if len(comments) > 1:
        first = {"first": result.lastrowid, "many": len(comments)}
        ids = (await connection.scalars(INSERTED, first)).all()
    return {
        comment: CommentRow(row_id, comment.user_id, comment.content, 0, 0, comment.created_at)
        for row_id, comment in zip(ids, comments, strict=True)
    }


async def delete_comment(
    connection: AsyncConnection, *, comment_id: int, video_id: int, user_id: int
) -> None:
    """Delete a comment and count it no more; of several at the same time one succeeds.

    Raises:
        VideoNotFound: the video is not published, or never was.
        CommentNotFound: the comment is gone, or belongs to another video.
        PermissionDenied: `user_id` wrote neither the comment nor the video.
    """
    author_id = await _lock_video(connection, video_id)
    statement = select(Comment.user_id).where(
        Comment.id == comment_id, Comment.video_id == video_id, Comment.deleted_at.is_(None)
    )
    commenter_id = (await connection.execute(statement.with_for_update())).scalar_one_or_none()
    if commenter_id is None:
        raise CommentNotFound
    if user_id not in (commenter_id, author_id):
        raise PermissionDenied("只能删除自己的评论")
    await connection.execute(
        update(Video).where(Video.id == video_id).values(comment_count=Video.comment_count - 1)
    )
    await connection.execute(
        update(Comment).where(Comment.id == comment_id).values(deleted_at=func.utc_timestamp(3))
    )


async def list_comments(
    connection: AsyncConnection, *, video_id: int, before_id: int, limit: int
) -> list[CommentRow]:
    """Return the newest comments on a video with ids below `before_id`, newest first.

    The video's row is locked while a comment gets its id: within a video, ids are in the order of commits.
    """
    values = {"video": video_id, "before_id": before_id, "at_most": limit}
    return [CommentRow(*row) for row in await connection.execute(PAGE, values)]


async def map_comments(
    connection: AsyncConnection, video_ids: Collection[int], *, limit: int
) -> dict[int, list[CommentRow]]:
    """Return the newest comments on some videos, newest first, by video; what is not published is left out."""
    list_many = partial(_list_newest_on_video, connection, limit)
    return await map_newest(
        connection, OF_VIDEOS, video_ids, make_row=CommentRow, list_many=list_many
    )


async def _list_newest_on_video(
    connection: AsyncConnection, limit: int, video_id: int
) -> list[CommentRow]:
    return await list_comments(connection, video_id=video_id, before_id=FROM_THE_START, limit=limit)


async def favorite_comment(
    connection: AsyncConnection, *, comment_id: int, user_id: int, active: bool
) -> int:
    """Like a comment, or stop liking it; what is so already changes nothing. Return the id of the video that it is on.

    Raises:
        CommentNotFound: the comment is gone.
    """
    video_id = await _lock_comment(connection, comment_id)
    like = (FavoriteComment.user_id == user_id, FavoriteComment.comment_id == comment_id)
    found = await connection.execute(select(FavoriteComment.user_id).where(*like))
    if (found.one_or_none() is not None) == active:
        return video_id
    delta = 1 if active else -1
    await connection.execute(
        update(Comment)
        .where(Comment.id == comment_id)
        .values(like_count=Comment.like_count + delta)
    )
    if active:
        statement = insert(FavoriteComment).values(user_id=user_id, comment_id=comment_id)
        await connection.execute(statement)
    else:
        await connection.execute(delete(FavoriteComment).where(*like))
    return video_id


async def list_favorited_comments(
    connection: AsyncConnection, *, user_id: int, comment_ids: Collection[int]
) -> set[int]:
    """Return those of `comment_ids` that a user likes."""
    if not comment_ids:
        return set()
    statement = select(FavoriteComment.comment_id).where(
        FavoriteComment.user_id == user_id, FavoriteComment.comment_id.in_(comment_ids)
    )
    return set(await connection.scalars(statement))


async def _lock_video(connection: AsyncConnection, video_id: int) -> int:
    statement = select(Video.author_id).where(
        Video.id == video_id, Video.published_at_ms.is_not(None)
    )
    author_id = (await connection.execute(statement.with_for_update())).scalar_one_or_none()
    if author_id is None:
        raise VideoNotFound
    return int(author_id)


async def _lock_comment(connection: AsyncConnection, comment_id: int) -> int:
    statement = select(Comment.video_id).where(
        Comment.id == comment_id, Comment.deleted_at.is_(None)
    )
    video_id = (await connection.execute(statement.with_for_update())).scalar_one_or_none()
    if video_id is None:
        raise CommentNotFound
    return int(video_id)
