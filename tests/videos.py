"""Rows of videos for tests, made and moved on as uploads and workers do it."""

import uuid
from typing import Any

from sqlalchemy import Update, select, update

from dal.db.engine import Database, retry_conflicts
from dal.db.models import User, Video, VideoStatus
from dal.db.upload_jobs import (
    ClaimedVideo,
    ObjectKeys,
    insert_upload,
    mark_uploaded,
    publish_video,
)
from dal.db.upload_queue import Lane, claim_job, claim_leftover, light_lane
from dal.db.videos import list_feed
from dal.redis.changes import ChangeLog
from pkg.clock import now_ms
from pkg.paging import FROM_THE_START
from services.video.timeline import announce_publication

LEASE_MS = 60_000
LIGHT = light_lane()


class Videos:
    """The videos of one author."""

    def __init__(self, database: Database, author_id: int) -> None:
        self.database = database
        self.author_id = author_id
        # Who is told of publications; None where nobody keeps anything.
        self.changes: ChangeLog | None = None

    async def upload(self, title: str = "标题", *, author_id: int | None = None) -> ClaimedVideo:
        """Insert an upload that is being received."""
        async with self.database.write() as connection:
            return await insert_upload(
                connection,
                author_id=author_id or self.author_id,
                title=title,
                keys=ObjectKeys(uuid.uuid4().hex, uuid.uuid4().hex, uuid.uuid4().hex),
                lease_token=uuid.uuid4().hex,
                lease_ms=LEASE_MS,
            )

    async def add_job(self, *, author_id: int | None = None, cost_s: float | None = None) -> int:
        """Insert an upload that waits for a worker, of the heavy lane where it has a cost."""
        video = await self.upload(author_id=author_id)
        async with self.database.write() as connection:
            await mark_uploaded(connection, video)
        if cost_s is not None:
            statement = update(Video).where(Video.id == video.id)
            await self.change(statement.values(is_heavy=True, cost_s=cost_s))
        return video.id

    async def claim(
        self,
        *,
        status: VideoStatus = VideoStatus.PROCESSING,
        lane: Lane = LIGHT,
        lease_ms: int = LEASE_MS,
    ) -> ClaimedVideo | None:
        async def transaction() -> ClaimedVideo | None:
            token = uuid.uuid4().hex
            async with self.database.write() as connection:
                if status is VideoStatus.PROCESSING:
                    return await claim_job(connection, lane, lease_token=token, lease_ms=lease_ms)
                return await claim_leftover(
                    connection, status, lease_token=token, lease_ms=lease_ms
                )

        return await retry_conflicts(transaction)

    async def let_pass(self, seconds: float) -> None:
        """Move every lease into the past by that much: to the rows it is as if the time had passed."""
        earlier = Video.lease_expires_at_ms - int(seconds * 1000)
        statement = update(Video).where(Video.lease_expires_at_ms > 0)
        await self.change(statement.values(lease_expires_at_ms=earlier))

    async def change(self, statement: Update) -> None:
        async with self.database.write() as connection:
            await connection.execute(statement)

    async def publish(self, video: ClaimedVideo, *, at_ms: int | None = None) -> int:
        async def transaction() -> int:
            async with self.database.write() as connection:
                return await publish_video(connection, video, now_ms=at_ms or now_ms())

        published_at_ms = await retry_conflicts(transaction)
        if self.changes is not None:
            await announce_publication(self.changes, video_id=video.id, author_id=video.author_id)
        return published_at_ms

    async def add_published(self, *, at_ms: int | None = None) -> int:
        """Publish a new video and return its publication time."""
        await self.add_job()
        video = await self.claim()
        assert video
        return await self.publish(video, at_ms=at_ms)

    async def row(self, video_id: int) -> Any:
        async with self.database.read_source() as connection:
            return (
                await connection.execute(select(Video.__table__).where(Video.id == video_id))
            ).one()

    async def work_count(self) -> int:
        statement = select(User.work_count).where(User.id == self.author_id)
        async with self.database.read_source() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def feed(self, *, before_ms: int = FROM_THE_START, limit: int = 30) -> list[int]:
        async with self.database.read_source() as connection:
            rows = await list_feed(connection, before_ms=before_ms, limit=limit)
        return [row.published_at_ms for row in rows]
