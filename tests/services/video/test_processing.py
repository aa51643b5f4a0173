"""From upload to publication or refusal with the real ffmpeg and storage, also when a server or the disk fails."""

import asyncio

from dal.db.models import VideoStatus
from pkg.media import PROCESSING_FAILED, MediaTool
from services.buckets import VIDEO_COVERS_BUCKET, VIDEOS_BUCKET
from tests.services.video.processing import HEAVY


async def test_a_video_is_published_with_a_cover_and_its_index_in_front(processing, samples):
    video_id = await processing.add_upload(samples / "video.mp4")

    await processing.work()

    await processing.assert_published(video_id)
    row = await processing.videos.row(video_id)
    video_type, video = await processing.fetch(VIDEOS_BUCKET, row.play_url)
    cover_type, cover = await processing.fetch(VIDEO_COVERS_BUCKET, row.cover_url)
    assert video_type == "video/mp4"
    assert 0 < video.index(b"moov") < video.index(b"mdat")
    assert cover_type == "image/jpeg"
    assert cover.startswith(b"\xff\xd8\xff")


async def test_a_broken_video_is_told_as_failed_and_nothing_of_it_stays(processing, samples):
    video_id = await processing.add_upload(samples / "broken.mp4")

    await processing.work()

    await processing.assert_failed(video_id, "视频文件不完整或已损坏,请重新上传")


async def test_a_file_without_a_picture_is_told_as_failed(processing, samples):
    video_id = await processing.add_upload(samples / "audio.mp4")

    await processing.work()

    await processing.assert_failed(video_id, "文件里没有视频画面,请重新选择")


async def test_a_video_waits_for_storage_as_long_as_it_takes(servers, processing, samples):
    video_id = await processing.add_upload(samples / "video.mp4")
    await asyncio.to_thread(servers.stop, "s3")
    try:
        for _ in range(processing.settings.max_attempts + 1):
            await processing.work()
        row = await processing.videos.row(video_id)
        assert (row.status, row.attempts, row.lease_token) == (VideoStatus.PROCESSING, 0, "")
        assert row.lease_expires_at_ms > 0
    finally:
        await asyncio.to_thread(servers.start, "s3")

    await processing.work()

    await processing.assert_published(video_id)


async def test_a_video_that_fails_again_and_again_is_given_up(settings, processing, samples):
    video_id = await processing.add_upload(samples / "video.mp4")
    hurried = MediaTool(settings.media.model_copy(update={"probe_timeout_s": 0.001}))

    for attempt in range(1, processing.settings.max_attempts + 1):
        await processing.work(media=hurried)
        row = await processing.videos.row(video_id)
        assert (row.status, row.attempts) == (VideoStatus.PROCESSING, attempt)
    await processing.work(media=hurried)

    await processing.assert_failed(video_id, PROCESSING_FAILED)


async def test_a_failure_counts_but_the_next_try_may_succeed(settings, processing, samples):
    video_id = await processing.add_upload(samples / "video.mp4")
    hurried = MediaTool(settings.media.model_copy(update={"probe_timeout_s": 0.001}))
    await processing.work(media=hurried)

    await processing.work()

    await processing.assert_published(video_id)


async def test_long_work_keeps_its_lease(processing, samples):
    video_id = await processing.add_upload(samples / "slow.avi")
    video = await processing.claim_heavy()
    first_end = (await processing.videos.row(video_id)).lease_expires_at_ms

    working = asyncio.create_task(processing.worker(lane=HEAVY).work_on(video))
    ends = set()
    while not working.done():
        ends.add((await processing.videos.row(video_id)).lease_expires_at_ms)
        assert await processing.leases.claim(HEAVY) is None
        await asyncio.wait({working}, timeout=0.05)

    assert max(ends) > first_end
    await processing.assert_published(video_id)


async def test_a_disk_that_fails_costs_no_video_and_no_worker(processing, samples):
    video_id = await processing.add_upload(samples / "video.mp4")
    processing.settings.spool_dir.write_bytes(b"no folder")

    await processing.work()

    row = await processing.videos.row(video_id)
    assert (row.status, row.attempts) == (VideoStatus.PROCESSING, 0)
    processing.settings.spool_dir.unlink()
    await processing.work()
    await processing.assert_published(video_id)
