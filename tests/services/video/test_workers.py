"""Workers that run: they share the work, are woken, stop at once and outlive the database."""

import asyncio

from dal.db.models import VideoStatus
from tests.eventually import eventually
from tests.services.video.processing import (
    HEAVY,
    has_published,
    is_idle,
    running,
)


async def test_a_stopped_worker_gives_its_video_back_at_once_and_uncounted(processing, samples):
    video_id = await processing.add_upload(samples / "slow.avi")
    await processing.work()
    async with asyncio.timeout(10), running(processing.worker(lane=HEAVY)):
        await eventually(lambda: list(processing.settings.spool_dir.glob("*/upload")))

    row = await processing.videos.row(video_id)
    assert (row.status, row.attempts, row.lease_token) == (VideoStatus.PROCESSING, 0, "")
    assert await processing.leases.claim(HEAVY)
    processing.assert_clean()


async def test_workers_publish_everything_once_between_them(processing, samples):
    for _ in range(5):
        await processing.add_upload(samples / "video.mp4")
    await processing.add_upload(samples / "broken.mp4")

    async with running(processing.worker(), processing.worker()):
        await eventually(lambda: has_published(processing, 5))
        await eventually(lambda: is_idle(processing))

    assert await processing.videos.work_count() == 5
    processing.assert_clean()


async def test_an_upload_wakes_a_worker_that_would_look_much_later(settings, processing, samples):
    processing.settings = processing.settings.model_copy(update={"job_interval_s": 60})
    woken = asyncio.Event()
    async with running(processing.worker(woken=woken)):
        await processing.add_upload(samples / "video.mp4")
        woken.set()

        await eventually(lambda: has_published(processing, 1))


async def test_a_worker_outlives_the_database(servers, processing, samples):
    await processing.add_upload(samples / "video.mp4")
    await asyncio.to_thread(servers.stop, "mysql")
    try:
        async with running(processing.worker()):
            await asyncio.to_thread(servers.start, "mysql")

            await eventually(lambda: has_published(processing, 1))
    finally:
        await asyncio.to_thread(servers.start, "mysql")
