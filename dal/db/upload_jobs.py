"""Uploads on their way to publication: each row of `videos` that is not published is a job, held under a lease.

Whoever works on a job writes under its lease's token, so that somebody who was taken for dead changes nothing any more.
A job goes uploading → processing → published, or → failed; upload_queue.py says which comes next, and what is published is
read in videos.py. Leases begin and end on the database's clock.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.clock import DATABASE_NOW_MS
from dal.db.models import PublicationClock, User, Video, VideoStatus


@dataclass(frozen=True, slots=True)
class PublicationRow:
    """One upload as its author sees it."""

    id: int
    title: str
    status: VideoStatus
    failure_reason: str
    progress_percent: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class ObjectKeys:
    """Where an upload, its playable file and its cover are stored; random, each in its own bucket."""

    upload: str
    play: str
    cover: str


@dataclass(frozen=True, slots=True)
class ClaimedVideo:
    """A job that this process may work on until its lease ends."""

    id: int
    author_id: int
    status: VideoStatus
    attempts: int  # this one included
    failure_reason: str  # "" unless it is failing: its objects are then removed
    keys: ObjectKeys
    lease_token: str


class LeaseLost(Exception):
    """Somebody else holds this video now, or its job is done; nothing was changed."""


async def list_publications(
    connection: AsyncConnection, *, author_id: int, video_id: int | None, before_id: int, limit: int
) -> list[PublicationRow]:
    """Return an author's uploads with ids below `before_id`, newest first, or the one upload `video_id`."""
    statement = (
        select(
            Video.id,
            Video.title,
            Video.status,
            Video.failure_reason,
            Video.progress_percent,
            Video.created_at_ms,
        )
        .where(Video.author_id == author_id, Video.id < before_id)
        .order_by(Video.id.desc())
        .limit(limit)
    )
    if video_id is not None:
        statement = statement.where(Video.id == video_id)
    return [
        PublicationRow(
            id=row.id,
            title=row.title,
            status=VideoStatus(row.status),
            failure_reason=row.failure_reason,
            progress_percent=row.progress_percent,
            created_at_ms=row.created_at_ms,
        )
        for row in await connection.execute(statement)
    ]


async def list_outcomes(connection: AsyncConnection, video_ids: Collection[int]) -> dict[int, str]:
    """Return of those videos that are published or failed the failure reason, "" where it is published."""
    statement = select(Video.id, Video.status, Video.failure_reason).where(
        Video.id.in_(video_ids),
        Video.status.in_((VideoStatus.PUBLISHED, VideoStatus.FAILED)),
    )
    return {
        row.id: row.failure_reason if row.status == VideoStatus.FAILED else ""
        for row in await connection.execute(statement)
    }


async def insert_upload(
    connection: AsyncConnection,
    *,
    author_id: int,
    title: str,
    keys: ObjectKeys,
    lease_token: str,
    lease_ms: int,
) -> ClaimedVideo:
    """Insert the row of an upload before its first byte is stored; whoever receives the upload holds it."""
    statement = insert(Video).values(
        author_id=author_id,
        title=title,
        upload_key=keys.upload,
        play_url=keys.play,
        cover_url=keys.cover,
        status=VideoStatus.UPLOADING,
        lease_token=lease_token,
        lease_expires_at_ms=DATABASE_NOW_MS + lease_ms,
        created_at_ms=DATABASE_NOW_MS,
    )
    result = await connection.execute(statement)
    return ClaimedVideo(
        id=int(result.lastrowid),
        author_id=author_id,
        status=VideoStatus.UPLOADING,
        attempts=0,
        failure_reason="",
        keys=keys,
        lease_token=lease_token,
    )


async def mark_uploaded(connection: AsyncConnection, video: ClaimedVideo) -> None:
    """Make a stored upload a job for any worker.

    Raises:
        LeaseLost: it took too long, and the upload counts as failed.
    """
    await _update_held(
        connection,
        video,
        status=VideoStatus.PROCESSING,
        lease_token="",
        lease_expires_at_ms=0,
    )


async def move_to_heavy_lane(
    connection: AsyncConnection, video: ClaimedVideo, *, cost_s: float
) -> None:
    """Give a job back because it must be encoded again; to have looked into it was no attempt.

    Raises:
        LeaseLost: somebody else has it.
    """
    await _update_held(
        connection,
        video,
        is_heavy=True,
        cost_s=math.ceil(cost_s),
        attempts=0,
        progress_percent=0,
        started_at_ms=0,
        lease_token="",
        lease_expires_at_ms=0,
    )


async def renew_lease(
    connection: AsyncConnection, video: ClaimedVideo, *, lease_ms: int, progress_percent: int = 0
) -> None:
    """Keep a job for longer, and tell how far it is.

    Raises:
        LeaseLost: somebody else has it.
    """
    await _update_held(
        connection,
        video,
        lease_expires_at_ms=DATABASE_NOW_MS + lease_ms,
        progress_percent=progress_percent,
    )


async def release_video(
    connection: AsyncConnection, video: ClaimedVideo, *, delay_ms: int, counts: bool
) -> None:
    """Give a job back; nobody takes it within `delay_ms`. An attempt that does not count is as if never made.

    Raises:
        LeaseLost: somebody else has it.
    """
    await _update_held(
        connection,
        video,
        attempts=Video.attempts - (0 if counts else 1),
        progress_percent=0,
        lease_token="",
        # Not 0, which says of a failed video that it is no job any more.
        lease_expires_at_ms=DATABASE_NOW_MS + delay_ms if delay_ms else 1,
    )


async def forget_attempt(connection: AsyncConnection, video: ClaimedVideo) -> None:
    """Take back the attempt of a holder whose lease ended because it could not be given back, not because it died."""
    await connection.execute(
        update(Video)
        .where(Video.id == video.id, Video.status == VideoStatus.PROCESSING, Video.attempts > 0)
        .values(attempts=Video.attempts - 1)
    )


async def set_failure_reason(
    connection: AsyncConnection, video: ClaimedVideo, *, reason: str
) -> None:
    """Decide that a video fails, before its objects are removed, so that a crash in between loses no reason.

    Raises:
        LeaseLost: somebody else has it.
    """
    await _update_held(connection, video, failure_reason=reason)


async def publish_video(connection: AsyncConnection, video: ClaimedVideo, *, now_ms: int) -> int:
    """Make a video visible in feed, lists and `work_count` at once; return its publication time.

    The publication clock's row stays locked until the commit: commit order is feed order.

    Raises:
        LeaseLost: somebody else has it.
    """
    clock = select(PublicationClock.last_ms).where(PublicationClock.id == 1).with_for_update()
    published_at_ms = max(now_ms, (await connection.execute(clock)).scalar_one() + 1)
    await connection.execute(
        update(PublicationClock).where(PublicationClock.id == 1).values(last_ms=published_at_ms)
    )
    await connection.execute(
        update(User).where(User.id == video.author_id).values(work_count=User.work_count + 1)
    )
    await _update_held(
        connection,
        video,
        status=VideoStatus.PUBLISHED,
        published_at_ms=published_at_ms,
        lease_token="",
        lease_expires_at_ms=0,
    )
    return published_at_ms


async def find_age_s(connection: AsyncConnection, video: ClaimedVideo) -> float:
    """Return how many seconds ago the upload began, on the database's clock."""
    age_ms = select(DATABASE_NOW_MS - Video.created_at_ms).where(Video.id == video.id)
    return max(0, (await connection.execute(age_ms)).scalar_one()) / 1000


async def fail_video(
    connection: AsyncConnection, video: ClaimedVideo, *, sweep_delay_ms: int | None = None
) -> None:
    """Tell the author that a video has failed, for its failure reason.

    Args:
        sweep_delay_ms: after which it is a job once more, to remove objects that were stored late; None means never.

    Raises:
        LeaseLost: somebody else has it.
    """
    await _update_held(
        connection,
        video,
        status=VideoStatus.FAILED,
        lease_token="",
        lease_expires_at_ms=0 if sweep_delay_ms is None else DATABASE_NOW_MS + sweep_delay_ms,
    )


async def _update_held(connection: AsyncConnection, video: ClaimedVideo, **values: Any) -> None:
    statement = update(Video).where(
        Video.id == video.id,
        Video.lease_token == video.lease_token,
        Video.status != VideoStatus.PUBLISHED,
    )
    result = await connection.execute(statement.values(**values))
    if result.rowcount != 1:
        raise LeaseLost
