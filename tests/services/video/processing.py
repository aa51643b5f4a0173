"""A worker, and everything that it works on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from sqlalchemy import delete, update

from dal.db.engine import MySQLSettings, open_database
from dal.db.models import Video, VideoStatus
from dal.db.upload_jobs import ClaimedVideo, mark_uploaded
from dal.db.upload_queue import Lane, heavy_lane, light_lane
from pkg.clock import now_ms
from pkg.media import MediaTool
from pkg.storage import Bucket, Storage, object_path
from services.buckets import VIDEO_COVERS_BUCKET, VIDEO_UPLOADS_BUCKET, VIDEOS_BUCKET
from services.video.leases import Leases
from services.video.settings import VideoSettings
from services.video.worker import LaneOfWork, Worker
from tests.accounts import UserFactory
from tests.videos import Videos

LEASE_S = 0.6
LIGHT = light_lane()
HEAVY = heavy_lane(max_per_author=1)
BUCKETS = (VIDEO_UPLOADS_BUCKET, VIDEOS_BUCKET, VIDEO_COVERS_BUCKET)


def ignore(*_: object) -> None:
    """Do nothing: nobody wants to know."""


@dataclass
class Processing:
    """A worker and everything that it works on."""

    videos: Videos
    storage: Storage
    settings: VideoSettings
    media: MediaTool
    base_url: str

    @property
    def leases(self) -> Leases:
        return Leases(self.videos.database, lease_s=LEASE_S)

    def worker(
        self,
        *,
        media: MediaTool | None = None,
        storage: Storage | None = None,
        lane: Lane = LIGHT,
        woken: asyncio.Event | None = None,
        on_heavy: Callable[[], None] = ignore,
        on_outcome: Callable[[int], None] = ignore,
    ) -> Worker:
        async def tell(video: ClaimedVideo) -> None:
            on_outcome(video.id)

        return Worker(
            LaneOfWork(lane, woken or asyncio.Event()),
            media=media or self.media,
            database=self.videos.database,
            storage=storage or self.storage,
            leases=self.leases,
            settings=self.settings,
            on_heavy=on_heavy,
            on_outcome=tell,
        )

    async def add_upload(self, path: Path, *, received: bool = True) -> int:
        """Store a file as an upload and return the id of its video."""
        video = await self.videos.upload()
        await self.storage.put_file(
            VIDEO_UPLOADS_BUCKET, video.keys.upload, path, "application/octet-stream"
        )
        if received:
            async with self.videos.database.write() as connection:
                await mark_uploaded(connection, video)
        return video.id

    async def claim(self, lane: Lane = LIGHT) -> ClaimedVideo:
        """Claim what there is as a worker does whose predecessor died long ago."""
        await self.end_leases()
        video = await self.leases.claim(lane)
        assert video
        return video

    async def claim_heavy(self) -> ClaimedVideo:
        """Claim an upload after a worker of the light lane has looked into it."""
        await self.work()
        return await self.claim(HEAVY)

    async def end_leases(self) -> None:
        async with self.videos.database.write() as connection:
            await connection.execute(update(Video).values(lease_expires_at_ms=0))

    async def work(self, *, media: MediaTool | None = None, lane: Lane = LIGHT) -> None:
        """Claim the one job of a lane and work on it once."""
        await self.worker(media=media, lane=lane).work_on(await self.claim(lane))

    async def stored(self, video_id: int) -> tuple[bool, bool, bool]:
        """Tell whether upload, video and cover are in storage."""
        row = await self.videos.row(video_id)
        keys = (row.upload_key, row.play_url, row.cover_url)
        pairs = zip(BUCKETS, keys, strict=True)
        upload, video, cover = [await self.storage.exists(bucket, key) for bucket, key in pairs]
        return upload, video, cover

    async def fetch(self, bucket: Bucket, key: str) -> tuple[str, bytes]:
        """Load a published object as a phone does; returns its content type and content."""

        def load() -> tuple[str, bytes]:
            with urlopen(f"{self.base_url}/{object_path(bucket, key)}", timeout=10) as reply:  # noqa: S310 - our own server
                return reply.headers["Content-Type"], reply.read()

        return await asyncio.to_thread(load)

    async def assert_published(self, video_id: int) -> None:
        row = await self.videos.row(video_id)
        assert row.status == VideoStatus.PUBLISHED
        assert row.published_at_ms
        assert await self.stored(video_id) == (False, True, True)
        assert await self.videos.work_count() == 1
        assert len(await self.videos.feed()) == 1
        self.assert_clean()

    async def assert_failed(self, video_id: int, reason: str) -> None:
        row = await self.videos.row(video_id)
        assert (row.status, row.failure_reason) == (VideoStatus.FAILED, reason)
        assert await self.stored(video_id) == (False, False, False)
        assert await self.videos.work_count() == 0
        assert await self.videos.feed() == []
        self.assert_clean()

    def is_clean(self) -> bool:
        folder = self.settings.spool_dir
        return not folder.exists() or not list(folder.iterdir())

    def assert_clean(self) -> None:
        assert self.is_clean()

    async def has_failed(self, video_id: int) -> bool:
        return bool((await self.videos.row(video_id)).status == VideoStatus.FAILED)

    async def lease_is_over(self, video_id: int) -> bool:
        return bool((await self.videos.row(video_id)).lease_expires_at_ms < now_ms())


@asynccontextmanager
async def open_processing(
    settings: Any, mysql: MySQLSettings, folder: Path
) -> AsyncIterator[Processing]:
    """Open a worker's surroundings on the running event loop; the database is reached as told."""
    async with open_database(mysql) as database, Storage(settings.storage) as storage:
        await storage.ensure_buckets(BUCKETS)
        async with database.write() as connection:
            await connection.execute(delete(Video))
        videos = Videos(database, await UserFactory(database)())
        yield make_processing(settings, videos, storage, folder)


def make_processing(settings: Any, videos: Videos, storage: Storage, folder: Path) -> Processing:
    """Put a worker's surroundings together: a short lease, a spool of the test's own."""
    changes = {"spool_dir": folder / "spool", "job_interval_s": 0.1, "lease_s": LEASE_S}
    return Processing(
        videos=videos,
        storage=storage,
        settings=settings.video.model_copy(update=changes),
        media=MediaTool(settings.media),
        base_url=f"http://127.0.0.1:{settings.storage.port}",
    )


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for worker in workers:
            tasks.create_task(worker.run(stop))
        try:
            yield stop
        finally:
            stop.set()


async def put_results(processing: Processing, video_id: int, sample: Path, *, cover: bool) -> None:
    """Store what a worker had made before it died."""
    row = await processing.videos.row(video_id)
    await processing.storage.put_file(VIDEOS_BUCKET, row.play_url, sample, "video/mp4")
    if cover:
        await processing.storage.put_file(VIDEO_COVERS_BUCKET, row.cover_url, sample, "image/jpeg")


async def has_published(processing: Processing, count: int) -> bool:
    return len(await processing.videos.feed()) == count


async def is_idle(processing: Processing) -> bool:
    async with processing.videos.database.read_source() as connection:
        found = await connection.execute(Video.__table__.select())
        return all(row.status in {VideoStatus.PUBLISHED, VideoStatus.FAILED} for row in found)
