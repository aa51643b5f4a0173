"""Expensive uploads have workers of their own: they delay nobody else, and their authors see how far they are."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from dal.db.models import VideoStatus
from dal.db.upload_queue import heavy_lane
from pkg.media import CopyFailed, MediaSettings, MediaTool, Plan, VideoInfo
from pkg.media.plans import plan_encoding
from protos.video_pb2 import PublishStatusRequest
from tests.eventually import eventually
from tests.services.video.processing import HEAVY, has_published, running


class GatedMedia(MediaTool):
    """Does the work up to 40 percent, and the rest when the gate is opened."""

    def __init__(self, settings) -> None:
        super().__init__(settings)
        self.gate = asyncio.Event()
        self.begun: list[Path] = []

    async def convert(
        self,
        source: Path,
        target: Path,
        plan: Plan,
        on_progress: Callable[[float], None] | None = None,
    ) -> VideoInfo:
        self.begun.append(source)
        if on_progress is not None:
            on_progress(0.4)
        await self.gate.wait()
        return await super().convert(source, target, plan, on_progress)


async def test_two_slow_uploads_do_not_delay_a_light_one(settings, processing, samples):
    slow = [await processing.add_upload(samples / "old.avi") for _ in range(2)]
    light = await processing.add_upload(samples / "video.mp4")
    media = GatedMedia(settings.media)
    woken = asyncio.Event()
    lane = heavy_lane(max_per_author=2)
    heavy_workers = [processing.worker(lane=lane, media=media, woken=woken) for _ in range(2)]

    async with running(processing.worker(on_heavy=woken.set), *heavy_workers):
        await eventually(lambda: has_published(processing, 1))
        await eventually(lambda: len(media.begun) == 2)
        assert (await processing.videos.row(light)).status == VideoStatus.PUBLISHED
        for video_id in slow:
            assert (await processing.videos.row(video_id)).status == VideoStatus.PROCESSING

        media.gate.set()
        await eventually(lambda: has_published(processing, 3))
    processing.assert_clean()


class FailingCopies(MediaTool):
    """Finds what cannot be known before: that a copy is not possible."""

    def __init__(self, settings: MediaSettings) -> None:
        super().__init__(settings)
        self._own_settings = settings

    async def convert(
        self,
        source: Path,
        target: Path,
        plan: Plan,
        on_progress: Callable[[float], None] | None = None,
    ) -> VideoInfo:
        if plan.is_light:
            raise CopyFailed(plan_encoding(plan, self._own_settings))
        return await super().convert(source, target, plan, on_progress)


async def test_a_copy_that_fails_is_encoded_in_the_heavy_lane(settings, processing, samples):
    video_id = await processing.add_upload(samples / "video.mp4")
    media = FailingCopies(settings.media)

    await processing.work(media=media)

    row = await processing.videos.row(video_id)
    assert (row.status, row.is_heavy, row.attempts) == (VideoStatus.PROCESSING, True, 0)
    await processing.work(media=media, lane=HEAVY)
    await processing.assert_published(video_id)


async def test_a_worker_that_finds_a_heavy_video_wakes_the_heavy_lane(processing, samples):
    processing.settings = processing.settings.model_copy(update={"job_interval_s": 60})
    woken = asyncio.Event()
    async with running(processing.worker(lane=HEAVY, woken=woken)):
        await processing.add_upload(samples / "old.avi")

        await processing.worker(on_heavy=woken.set).work_on(await processing.claim())

        await eventually(lambda: has_published(processing, 1), within_s=30)


async def test_workers_tell_what_became_of_a_video(processing, samples):
    told: list[int] = []
    published = await processing.add_upload(samples / "video.mp4")
    failed = await processing.add_upload(samples / "broken.mp4")
    heavy = await processing.add_upload(samples / "old.avi")

    for _ in range(3):
        worker = processing.worker(on_outcome=told.append)
        await worker.work_on(await processing.leases.claim(worker.lane))

    assert told == [published, failed]
    assert (await processing.videos.row(heavy)).is_heavy


async def test_authors_see_how_far_their_videos_are(settings, processing, samples, upload_service):
    media = GatedMedia(settings.media)
    begun, waiting = [await processing.add_upload(samples / "old.avi") for _ in range(2)]
    for _ in range(2):
        await processing.worker().work_on(await processing.leases.claim(processing.worker().lane))

    async def statuses():
        request = PublishStatusRequest(token=upload_service.phone.token)
        reply = await upload_service.stub.PublishStatus(request)
        return {
            entry.video_id: (entry.status, entry.progress, entry.queue_position)
            for entry in reply.publish_list
        }

    assert await statuses() == {begun: ("processing", 0, 1), waiting: ("processing", 0, 2)}
    async with running(processing.worker(lane=HEAVY, media=media)):

        async def shows_progress():
            return (await statuses())[begun] == ("processing", 40, 0)

        await eventually(shows_progress)
        assert (await statuses())[waiting] == ("processing", 0, 1)

        media.gate.set()
        await eventually(lambda: has_published(processing, 2), within_s=30)
    assert await statuses() == {begun: ("published", 100, 0), waiting: ("published", 100, 0)}
