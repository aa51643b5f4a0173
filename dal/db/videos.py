"""Published videos: their cards, the feed, and the lists of an author.

Only a published video has `published_at_ms`, so its unique index is the feed, and `IS NOT NULL` means "visible". What
happens to a video before that is in upload_jobs.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from dal.db.models import Video
from pkg.errors import VideoNotFound


@dataclass(frozen=True, slots=True)
class VideoRow:
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


async def list_feed(connection: AsyncConnection, *, before_ms: int, limit: int) -> list[VideoRow]:
    """Return the newest videos published strictly before `before_ms`, newest first."""
    return await _list_rows(connection, _newest(limit).where(Video.published_at_ms < before_ms))


async def list_videos_of_author(
    connection: AsyncConnection, *, author_id: int, before_ms: int, limit: int
) -> list[VideoRow]:
    """Return the newest videos of an author published strictly before `before_ms`, newest first."""
    statement = _newest(limit).where(
        Video.author_id == author_id, Video.published_at_ms < before_ms
    )
    return await _list_rows(connection, statement)


async def list_videos(connection: AsyncConnection, video_ids: Sequence[int]) -> list[VideoRow]:
    """Return the published videos among `video_ids`, in no order."""
    statement = select(*CARD).where(Video.id.in_(video_ids), Video.published_at_ms.is_not(None))
    return await _list_rows(connection, statement)


async def require_video(connection: AsyncConnection, video_id: int) -> None:
    """Check that a video is published.

    Raises:
        VideoNotFound: it is not, or never was.
    """
    statement = select(Video.id).where(Video.id == video_id, Video.published_at_ms.is_not(None))
    if (await connection.execute(statement)).one_or_none() is None:
        raise VideoNotFound


def _newest(limit: int) -> Select[Any]:
    return select(*CARD).order_by(Video.published_at_ms.desc()).limit(limit)


async def _list_rows(connection: AsyncConnection, statement: Select[Any]) -> list[VideoRow]:
    return [VideoRow(*row) for row in await connection.execute(statement)]
