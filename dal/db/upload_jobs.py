"""Uploads on their way to publication: each row of `videos` that is not published is a job, held under a lease.

Whoever works on a job writes under its lease's token, so that somebody who was taken for dead changes nothing any more.
A job goes uploading → processing → published, or → failed; what is published is read in videos.py.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.models import PublicationClock, User, Video, VideoStatus


@dataclass(frozen=True, slots=True)
class PublicationRow:
    """One upload as its author sees it."""

    id: int
    title: str
    status: VideoStatus
    failure_reason: str
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
        select(Video.id, Video.title, Video.status, Video.failure_reason, Video.created_at_ms)
        .where(Video.author_id == author_id, Video.id < before_id)
        .order_by(Video.id.desc())
        .limit(limit)
    )
    if video_id is not None:
        statement = statement.where(Video.id == video_id)
    return [
        PublicationRow(
            row.id, row.title, VideoStatus(row.status), row.failure_reason, row.created_at_ms
        )
        for row in await connection.execute(statement)
    ]


async def insert_upload(
    connection: AsyncConnection,
    *,
    author_id: int,
    title: str,
    keys: ObjectKeys,
    lease_token: str,
    now_ms: int,
    lease_expires_at_ms: int,
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
        lease_expires_at_ms=lease_expires_at_ms,
        created_at_ms=now_ms,
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


async def claim_video(
    connection: AsyncConnection,
    *,
    status: VideoStatus,
    now_ms: int,
    lease_token: str,
    lease_expires_at_ms: int,
) -> ClaimedVideo | None:
    """Take the oldest job in `status` that nobody holds, or whose holder's lease has ended; None if there is none.

    A failed video is a job only where `fail_video` said so. Rows that another process is claiming at this moment are
    skipped, so that workers never wait for each other.
    """
    row = await _lock_oldest_free(connection, status, now_ms=now_ms)
    if row is None:
        return None
    attempts = row.attempts + 1
    await connection.execute(
        update(Video)
        .where(Video.id == row.id)
        .values(lease_token=lease_token, lease_expires_at_ms=lease_expires_at_ms, attempts=attempts)
    )
    return ClaimedVideo(
        id=row.id,
        author_id=row.author_id,
        status=status,
        attempts=attempts,
        failure_reason=row.failure_reason,
        keys=ObjectKeys(row.upload_key, row.play_url, row.cover_url),
        lease_token=lease_token,
    )


async def renew_lease(
    connection: AsyncConnection, video: ClaimedVideo, *, lease_expires_at_ms: int
) -> None:
    """Keep a job for longer.

    Raises:
        LeaseLost: somebody else has it.
    """
    await _update_held(connection, video, lease_expires_at_ms=lease_expires_at_ms)


async def release_video(
    connection: AsyncConnection, video: ClaimedVideo, *, retry_at_ms: int, counts: bool
) -> None:
    """Give a job back; nobody takes it before `retry_at_ms`. An attempt that does not count is as if never made.

    Raises:
        LeaseLost: somebody else has it.
    """
    await _update_held(
        connection,
        video,
        attempts=Video.attempts - (0 if counts else 1),
        lease_token="",
        lease_expires_at_ms=retry_at_ms,
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


async def fail_video(
    connection: AsyncConnection, video: ClaimedVideo, *, sweep_at_ms: int = 0
) -> None:
    """Tell the author that a video has failed, for its failure reason.

    Args:
        sweep_at_ms: when it is a job once more, to remove objects that were stored late; 0 means never.

    Raises:
        LeaseLost: somebody else has it.
    """
    await _update_held(
        connection,
        video,
        status=VideoStatus.FAILED,
        lease_token="",
        lease_expires_at_ms=sweep_at_ms,
    )


async def _lock_oldest_free(
    connection: AsyncConnection, status: VideoStatus, *, now_ms: int
) -> Row[int, int, int, str, str, str, str] | None:
    statement = (
        select(
            Video.id,
            Video.author_id,
            Video.attempts,
            Video.failure_reason,
            Video.upload_key,
            Video.play_url,
            Video.cover_url,
        )
        .where(Video.status == status, Video.lease_expires_at_ms < now_ms)
        .order_by(Video.lease_expires_at_ms, Video.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if status is VideoStatus.FAILED:
        statement = statement.where(Video.lease_expires_at_ms > 0)
    return (await connection.execute(statement)).one_or_none()


async def _update_held(connection: AsyncConnection, video: ClaimedVideo, **values: Any) -> None:
    statement = update(Video).where(
        Video.id == video.id,
        Video.lease_token == video.lease_token,
        Video.status != VideoStatus.PUBLISHED,
    )
    result = await connection.execute(statement.values(**values))
    if result.rowcount != 1:
        raise LeaseLost
