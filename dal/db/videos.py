"""Published videos: their cards, the feed, and the lists of an author.

Only a published video has `published_at_ms`, so its unique index is the feed, and `IS NOT NULL` means "visible". What
happens to a video before that is in upload_jobs.py.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from dal.db.id_lists import WANTED
from dal.db.models import Video
from dal.db.newest import map_newest
from pkg.errors import VideoNotFound
from pkg.paging import FROM_THE_START


class VideoRow(NamedTuple):
    """What a published video's card shows; keys are object keys."""

    id: int
    author_id: int
    play_key: str
    cover_key: str
    favorite_count: int
    comment_count: int
    title: str
    share_count: int
    published_at_ms: int


class ListedVideo(NamedTuple):
    """A published video and its place in the feed."""

    id: int
    published_at_ms: int


CARD: tuple[InstrumentedAttribute[Any], ...] = (
    Video.id,
    Video.author_id,
    Video.play_url,
    Video.cover_url,
    Video.favorite_count,
    Video.comment_count,
    Video.title,
    Video.share_count,
    Video.published_at_ms,
)


LISTED = select(Video.id, Video.published_at_ms).order_by(Video.published_at_ms.desc())
LISTED = LISTED.limit(bindparam("at_most"))
FEED = LISTED.where(Video.published_at_ms < bindparam("before_ms"))
OF_AUTHOR = FEED.where(Video.author_id == bindparam("author_id"))
OF_AUTHORS = text(f"""
    SELECT users.id, users.work_count, videos.published_at_ms, videos.id, videos.published_at_ms
    FROM {WANTED}
    STRAIGHT_JOIN users ON users.id = wanted.id AND users.deleted_at IS NULL
    LEFT JOIN videos
      ON videos.author_id = users.id AND videos.published_at_ms IS NOT NULL AND users.work_count <= :few
""")  # noqa: S608 - names of this package, no values
IS_PUBLISHED = select(Video.id).where(
    Video.id == bindparam("video"), Video.published_at_ms.is_not(None)
)
PUBLISHED = select(*CARD).where(
    Video.id.in_(bindparam("ids", expanding=True)), Video.published_at_ms.is_not(None)
)


async def list_feed(
    connection: AsyncConnection, *, before_ms: int, limit: int
) -> list[ListedVideo]:
    """Return the newest videos published strictly before `before_ms`, newest first."""
    values = {"before_ms": before_ms, "at_most": limit}
    return _to_listed(await connection.execute(FEED, values))


async def list_videos_of_author(
    connection: AsyncConnection, *, author_id: int, before_ms: int, limit: int
) -> list[ListedVideo]:
    """Return the newest videos of an author published strictly before `before_ms`, newest first."""
    values = {"author_id": author_id, "before_ms": before_ms, "at_most": limit}
    return _to_listed(await connection.execute(OF_AUTHOR, values))


async def map_videos_of_authors(
    connection: AsyncConnection, author_ids: Collection[int], *, limit: int
) -> dict[int, list[ListedVideo]]:
    """Return the newest videos of some authors, newest first, by author; who has no account is left out."""
    list_many = partial(_list_newest_of_author, connection, limit)
    return await map_newest(
        connection, OF_AUTHORS, author_ids, make_row=ListedVideo, list_many=list_many
    )


async def _list_newest_of_author(
    connection: AsyncConnection, limit: int, author_id: int
) -> list[ListedVideo]:
    return await list_videos_of_author(
        connection, author_id=author_id, before_ms=FROM_THE_START, limit=limit
    )


async def list_videos(connection: AsyncConnection, video_ids: Sequence[int]) -> list[VideoRow]:
    """Return the published videos among `video_ids`, in no order."""
    rows = await connection.execute(PUBLISHED, {"ids": list(video_ids)})
    return [VideoRow(*row) for row in rows]


async def require_video(connection: AsyncConnection, video_id: int) -> None:
    """Check that a video is published.

    Raises:
        VideoNotFound: it is not, or never was.
    """
    if (await connection.execute(IS_PUBLISHED, {"video": video_id})).one_or_none() is None:
        raise VideoNotFound


def _to_listed(rows: Iterable[Any]) -> list[ListedVideo]:
    return [ListedVideo(*row) for row in rows]
