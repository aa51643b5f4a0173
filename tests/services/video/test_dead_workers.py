"""Whoever dies at any point is replaced, and whoever comes back late changes nothing."""

import asyncio
import uuid

import pytest
from sqlalchemy import update

from dal.db.models import Video, VideoStatus
from dal.db.upload_jobs import set_failure_reason
from pkg.media import PROCESSING_FAILED
from services.buckets import VIDEO_UPLOADS_BUCKET
from services.video.worker import INTERRUPTED
from tests.eventually import eventually
from tests.services.video.processing import (
    BUCKETS,
    HEAVY,
    put_results,
)


@pytest.mark.parametrize(
    "done",
    ["claimed", "video stored", "cover stored", "upload deleted"],
)
async def test_a_worker_that_died_at_any_point_is_replaced_and_the_video_published(
    processing, samples, done
):
    sample = samples / "video.mp4"
    video_id = await processing.add_upload(sample)
    dead = await processing.claim()
    if done != "claimed":
        await put_results(processing, video_id, sample, cover=done != "video stored")
    if done == "upload deleted":
        await processing.storage.delete(VIDEO_UPLOADS_BUCKET, dead.keys.upload)

    await processing.work()

    await processing.assert_published(video_id)
    await processing.worker().work_on(dead)  # it was only slow, and comes back
    await processing.assert_published(video_id)


@pytest.mark.parametrize("deleted", [0, 1, 2, 3])
async def test_a_worker_that_died_while_cleaning_up_is_replaced(processing, samples, deleted):
    video_id = await processing.add_upload(samples / "video.mp4")
    await put_results(processing, video_id, samples / "video.mp4", cover=True)
    dead = await processing.claim()
    async with processing.videos.database.write() as connection:
        await set_failure_reason(connection, dead, reason="坏了")
    keys = (dead.keys.upload, dead.keys.play, dead.keys.cover)
    for bucket, key in list(zip(BUCKETS, keys, strict=True))[:deleted]:
        await processing.storage.delete(bucket, key)

    await processing.work()

    await processing.assert_failed(video_id, "坏了")


@pytest.mark.parametrize("stored", [True, False])
async def test_an_upload_whose_receiver_died_is_told_as_interrupted(processing, samples, stored):
    video_id = (
        await processing.add_upload(samples / "video.mp4", received=False)
        if stored
        else (await processing.videos.upload()).id
    )

    await processing.work()

    await processing.assert_failed(video_id, INTERRUPTED)


@pytest.mark.parametrize("cover", [None, False], ids=["nothing", "video alone"])
async def test_an_upload_that_is_gone_before_its_results_are_there_has_failed(
    processing, samples, cover
):
    video_id = await processing.videos.add_job()
    if cover is not None:
        await put_results(processing, video_id, samples / "video.mp4", cover=cover)

    await processing.work()

    await processing.assert_failed(video_id, INTERRUPTED)


async def test_a_video_that_kills_its_workers_is_given_up(processing, samples):
    video_id = await processing.add_upload(samples / "video.mp4")
    for _ in range(processing.settings.max_attempts):
        await processing.claim()

    await processing.work()

    await processing.assert_failed(video_id, PROCESSING_FAILED)


async def test_who_has_lost_the_lease_stops_and_publishes_nothing(processing, samples):
    video_id = await processing.add_upload(samples / "slow.avi")
    video = await processing.claim_heavy()
    working = asyncio.create_task(processing.worker(lane=HEAVY).work_on(video))
    await eventually(lambda: list(processing.settings.spool_dir.glob("*/upload")))
    async with processing.videos.database.write() as connection:
        await connection.execute(update(Video).values(lease_token=uuid.uuid4().hex))

    await working

    row = await processing.videos.row(video_id)
    assert (row.status, row.attempts) == (VideoStatus.PROCESSING, 1)
    assert await processing.stored(video_id) == (True, False, False)
    processing.assert_clean()
