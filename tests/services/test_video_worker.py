"""From upload to publication with the real ffmpeg and storage, whatever happens in between."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from sqlalchemy import update

from dal.db.models import Video, VideoStatus
from dal.db.videos import ClaimedVideo, condemn_video, mark_uploaded
from pkg.media import MediaTool
from pkg.storage import Bucket, Storage, object_path
from services.buckets import VIDEO_COVERS_BUCKET, VIDEO_UPLOADS_BUCKET, VIDEOS_BUCKET
from services.video.leases import Leases
from services.video.settings import VideoSettings
from services.video.worker import GIVEN_UP, INTERRUPTED, Worker
from tests.eventually import eventually
from tests.media_samples import cut, make_sound, make_video
from tests.videos import Videos

LEASE_S = 0.6
BUCKETS = (VIDEO_UPLOADS_BUCKET, VIDEOS_BUCKET, VIDEO_COVERS_BUCKET)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with its index at the end, a broken one, one without picture, and one that takes a while."""
    folder = tmp_path_factory.mktemp("samples")
    film = make_video(folder / "film.mp4", options="", seconds=0.4)
    cut(folder / "broken.mp4", film, size=film.stat().st_size * 2 // 3)
    make_sound(folder / "sound.mp4")
    make_video(folder / "slow.avi", video="mpeg4", audio="mp3", seconds=3, size="1280x720")
    return folder


@dataclass
class Workshop:
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
        self, *, media: MediaTool | None = None, woken: asyncio.Event | None = None
    ) -> Worker:
        return Worker(
            database=self.videos.database,
            storage=self.storage,
            media=media or self.media,
            leases=self.leases,
            settings=self.settings,
            woken=woken or asyncio.Event(),
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

    async def claim(self) -> ClaimedVideo:
        """Claim what there is as a worker does whose predecessor died long ago."""
        await self.end_leases()
        video = await self.leases.claim()
        assert video
        return video

    async def end_leases(self) -> None:
        async with self.videos.database.write() as connection:
            await connection.execute(update(Video).values(lease_expires_at_ms=0))

    async def work(self, *, media: MediaTool | None = None) -> None:
        """Claim the one job and work on it once."""
        await self.worker(media=media).work_on(await self.claim())

    async def stored(self, video_id: int) -> tuple[bool, bool, bool]:
        """Tell whether upload, film and cover are in storage."""
        row = await self.videos.row(video_id)
        keys = (row.upload_key, row.play_url, row.cover_url)
        pairs = zip(BUCKETS, keys, strict=True)
        upload, film, cover = [await self.storage.exists(bucket, key) for bucket, key in pairs]
        return upload, film, cover

    async def fetch(self, bucket: Bucket, key: str) -> tuple[str, bytes]:
        """Load a published object as a phone does; returns its content type and content."""

        def load() -> tuple[str, bytes]:
            with urlopen(f"{self.base_url}/{object_path(bucket, key)}", timeout=10) as reply:  # noqa: S310
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

    def assert_clean(self) -> None:
        folder = self.settings.spool_dir
        assert not folder.exists() or not list(folder.iterdir())


@pytest.fixture
async def workshop(settings, videos, storage, tmp_path: Path) -> Workshop:
    changes = {"spool_dir": tmp_path / "spool", "job_interval_s": 0.1, "lease_s": LEASE_S}
    return Workshop(
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


async def test_a_film_is_published_with_a_cover_and_its_index_in_front(workshop, samples):
    video_id = await workshop.add_upload(samples / "film.mp4")

    await workshop.work()

    await workshop.assert_published(video_id)
    row = await workshop.videos.row(video_id)
    film_type, film = await workshop.fetch(VIDEOS_BUCKET, row.play_url)
    cover_type, cover = await workshop.fetch(VIDEO_COVERS_BUCKET, row.cover_url)
    assert film_type == "video/mp4"
    assert 0 < film.index(b"moov") < film.index(b"mdat")
    assert cover_type == "image/jpeg"
    assert cover.startswith(b"\xff\xd8\xff")


async def test_a_broken_film_is_told_as_failed_and_nothing_of_it_stays(workshop, samples):
    video_id = await workshop.add_upload(samples / "broken.mp4")

    await workshop.work()

    await workshop.assert_failed(video_id, "视频文件不完整或已损坏,请重新上传")


async def test_a_file_without_a_picture_is_told_as_failed(workshop, samples):
    video_id = await workshop.add_upload(samples / "sound.mp4")

    await workshop.work()

    await workshop.assert_failed(video_id, "文件里没有视频画面,请重新选择")


async def put_results(workshop: Workshop, video_id: int, sample: Path, *, cover: bool) -> None:
    """Store what a worker had made before it died."""
    row = await workshop.videos.row(video_id)
    await workshop.storage.put_file(VIDEOS_BUCKET, row.play_url, sample, "video/mp4")
    if cover:
        await workshop.storage.put_file(VIDEO_COVERS_BUCKET, row.cover_url, sample, "image/jpeg")


@pytest.mark.parametrize(
    "done",
    ["claimed", "film stored", "cover stored", "upload deleted"],
)
async def test_a_worker_that_died_at_any_point_is_replaced_and_the_video_published(
    workshop, samples, done
):
    sample = samples / "film.mp4"
    video_id = await workshop.add_upload(sample)
    dead = await workshop.claim()
    if done != "claimed":
        await put_results(workshop, video_id, sample, cover=done != "film stored")
    if done == "upload deleted":
        await workshop.storage.delete(VIDEO_UPLOADS_BUCKET, dead.keys.upload)

    await workshop.work()

    await workshop.assert_published(video_id)
    await workshop.worker().work_on(dead)  # it was only slow, and comes back
    await workshop.assert_published(video_id)


@pytest.mark.parametrize("deleted", [0, 1, 2, 3])
async def test_a_worker_that_died_while_cleaning_up_is_replaced(workshop, samples, deleted):
    video_id = await workshop.add_upload(samples / "film.mp4")
    await put_results(workshop, video_id, samples / "film.mp4", cover=True)
    dead = await workshop.claim()
    async with workshop.videos.database.write() as connection:
        await condemn_video(connection, dead, reason="坏了")
    keys = (dead.keys.upload, dead.keys.play, dead.keys.cover)
    for bucket, key in list(zip(BUCKETS, keys, strict=True))[:deleted]:
        await workshop.storage.delete(bucket, key)

    await workshop.work()

    await workshop.assert_failed(video_id, "坏了")


@pytest.mark.parametrize("stored", [True, False])
async def test_an_upload_whose_receiver_died_is_told_as_interrupted(workshop, samples, stored):
    video_id = (
        await workshop.add_upload(samples / "film.mp4", received=False)
        if stored
        else (await workshop.videos.upload()).id
    )

    await workshop.work()

    await workshop.assert_failed(video_id, INTERRUPTED)


@pytest.mark.parametrize("cover", [None, False], ids=["nothing", "film alone"])
async def test_an_upload_that_is_gone_before_its_results_are_there_has_failed(
    workshop, samples, cover
):
    video_id = await workshop.videos.add_job()
    if cover is not None:
        await put_results(workshop, video_id, samples / "film.mp4", cover=cover)

    await workshop.work()

    await workshop.assert_failed(video_id, INTERRUPTED)


async def test_a_video_waits_for_storage_as_long_as_it_takes(servers, workshop, samples):
    video_id = await workshop.add_upload(samples / "film.mp4")
    await asyncio.to_thread(servers.stop, "s3")
    try:
        for _ in range(workshop.settings.max_attempts + 1):
            await workshop.work()
        row = await workshop.videos.row(video_id)
        assert (row.status, row.attempts, row.lease_token) == (VideoStatus.PROCESSING, 0, "")
        assert row.lease_expires_at_ms > 0
    finally:
        await asyncio.to_thread(servers.start, "s3")

    await workshop.work()

    await workshop.assert_published(video_id)


async def test_a_video_that_fails_again_and_again_is_given_up(settings, workshop, samples):
    video_id = await workshop.add_upload(samples / "film.mp4")
    hurried = MediaTool(settings.media.model_copy(update={"probe_timeout_s": 0.001}))

    for attempt in range(1, workshop.settings.max_attempts + 1):
        await workshop.work(media=hurried)
        row = await workshop.videos.row(video_id)
        assert (row.status, row.attempts) == (VideoStatus.PROCESSING, attempt)
    await workshop.work(media=hurried)

    await workshop.assert_failed(video_id, GIVEN_UP)


async def test_a_video_that_kills_its_workers_is_given_up(workshop, samples):
    video_id = await workshop.add_upload(samples / "film.mp4")
    for _ in range(workshop.settings.max_attempts):
        await workshop.claim()

    await workshop.work()

    await workshop.assert_failed(video_id, GIVEN_UP)


async def test_a_failure_counts_but_the_next_try_may_succeed(settings, workshop, samples):
    video_id = await workshop.add_upload(samples / "film.mp4")
    hurried = MediaTool(settings.media.model_copy(update={"probe_timeout_s": 0.001}))
    await workshop.work(media=hurried)

    await workshop.work()

    await workshop.assert_published(video_id)


async def test_long_work_keeps_its_lease(workshop, samples):
    video_id = await workshop.add_upload(samples / "slow.avi")
    video = await workshop.claim()
    first_end = (await workshop.videos.row(video_id)).lease_expires_at_ms

    working = asyncio.create_task(workshop.worker().work_on(video))
    ends = set()
    while not working.done():
        ends.add((await workshop.videos.row(video_id)).lease_expires_at_ms)
        assert await workshop.leases.claim() is None
        await asyncio.wait({working}, timeout=0.05)

    assert max(ends) > first_end
    await workshop.assert_published(video_id)


async def test_who_has_lost_the_lease_stops_and_publishes_nothing(workshop, samples):
    video_id = await workshop.add_upload(samples / "slow.avi")
    video = await workshop.claim()
    working = asyncio.create_task(workshop.worker().work_on(video))
    await eventually(lambda: list(workshop.settings.spool_dir.glob("*/upload")))
    async with workshop.videos.database.write() as connection:
        await connection.execute(update(Video).values(lease_token=uuid.uuid4().hex))

    await working

    row = await workshop.videos.row(video_id)
    assert (row.status, row.attempts) == (VideoStatus.PROCESSING, 1)
    assert await workshop.stored(video_id) == (True, False, False)
    workshop.assert_clean()


async def test_a_stopped_worker_gives_its_video_back_at_once_and_uncounted(workshop, samples):
    video_id = await workshop.add_upload(samples / "slow.avi")
    async with asyncio.timeout(10), running(workshop.worker()):
        await eventually(lambda: list(workshop.settings.spool_dir.glob("*/upload")))

    row = await workshop.videos.row(video_id)
    assert (row.status, row.attempts, row.lease_token) == (VideoStatus.PROCESSING, 0, "")
    assert await workshop.leases.claim()
    workshop.assert_clean()


async def test_workers_publish_everything_once_between_them(workshop, samples):
    for _ in range(5):
        await workshop.add_upload(samples / "film.mp4")
    await workshop.add_upload(samples / "broken.mp4")

    async with running(workshop.worker(), workshop.worker()):
        await eventually(lambda: is_count(workshop, 5))
        await eventually(lambda: is_idle(workshop))

    assert await workshop.videos.work_count() == 5
    workshop.assert_clean()


async def is_count(workshop: Workshop, count: int) -> bool:
    return len(await workshop.videos.feed()) == count


async def is_idle(workshop: Workshop) -> bool:
    async with workshop.videos.database.read_source() as connection:
        found = await connection.execute(Video.__table__.select())
        return all(row.status in {VideoStatus.PUBLISHED, VideoStatus.FAILED} for row in found)


async def test_an_upload_wakes_a_worker_that_would_look_much_later(settings, workshop, samples):
    workshop.settings = workshop.settings.model_copy(update={"job_interval_s": 60})
    woken = asyncio.Event()
    async with running(workshop.worker(woken=woken)):
        await workshop.add_upload(samples / "film.mp4")
        woken.set()

        await eventually(lambda: is_count(workshop, 1))


async def test_a_worker_outlives_the_absence_of_the_database(servers, workshop, samples):
    await workshop.add_upload(samples / "film.mp4")
    await asyncio.to_thread(servers.stop, "mysql")
    try:
        async with running(workshop.worker()):
            await asyncio.to_thread(servers.start, "mysql")

            await eventually(lambda: is_count(workshop, 1))
    finally:
        await asyncio.to_thread(servers.start, "mysql")


async def test_a_disk_that_fails_costs_no_video_and_no_worker(workshop, samples):
    video_id = await workshop.add_upload(samples / "film.mp4")
    workshop.settings.spool_dir.write_bytes(b"no folder")

    await workshop.work()

    row = await workshop.videos.row(video_id)
    assert (row.status, row.attempts) == (VideoStatus.PROCESSING, 0)
    workshop.settings.spool_dir.unlink()
    await workshop.work()
    await workshop.assert_published(video_id)
