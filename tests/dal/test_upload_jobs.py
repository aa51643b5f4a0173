"""Uploads as jobs: one holder at a time, and nothing is changed by whoever has lost the lease."""

import asyncio

import pytest

from dal.db.models import VideoStatus
from dal.db.upload_jobs import (
    LeaseLost,
    fail_video,
    list_publications,
    mark_uploaded,
    publish_video,
    release_video,
    renew_lease,
    set_failure_reason,
)
from dal.db.upload_queue import claim_job
from pkg.clock import now_ms
from tests.videos import LEASE_MS, LIGHT


async def test_an_upload_is_nobodys_job_until_it_is_stored(videos):
    upload = await videos.upload()
    assert await videos.claim() is None

    async with videos.database.write() as connection:
        await mark_uploaded(connection, upload)

    claimed = await videos.claim()
    assert claimed.id == upload.id
    assert claimed.keys == upload.keys
    assert claimed.attempts == 1
    assert claimed.failure_reason == ""


async def test_an_upload_whose_receiver_died_is_claimed_when_its_lease_is_over(videos):
    upload = await videos.upload()
    status = VideoStatus.UPLOADING
    assert await videos.claim(status=status) is None

    await videos.let_pass(LEASE_MS / 1000 + 0.001)
    claimed = await videos.claim(status=status)

    assert claimed.id == upload.id
    with pytest.raises(LeaseLost):
        async with videos.database.write() as connection:
            await mark_uploaded(connection, upload)


async def test_the_oldest_job_comes_first(videos):
    ids = [await videos.add_job() for _ in range(3)]

    claimed = [await videos.claim() for _ in range(3)]
    assert [video and video.id for video in claimed] == ids


async def test_many_workers_never_get_the_same_job(videos):
    ids = await asyncio.gather(*(videos.add_job() for _ in range(24)))

    async def work() -> list[int]:
        claimed = []
        while (video := await videos.claim()) is not None:
            claimed.append(video.id)
        return claimed

    claimed = await asyncio.gather(*(work() for _ in range(6)))

    # A worker finds nothing while others hold the last rows locked; nothing is lost by that.
    everything = [video_id for batch in claimed for video_id in batch] + await work()
    assert sorted(everything) == sorted(ids)


async def test_workers_that_want_the_same_job_get_different_ones(videos):
    first, second = await videos.add_job(), await videos.add_job()
    async with videos.database.write() as connection:
        held = await claim_job(connection, LIGHT, lease_token="a", lease_ms=LEASE_MS)
        assert held
        assert held.id == first
        # It sees the first job free and waits for whoever is taking it.
        other = asyncio.create_task(videos.claim())
        await asyncio.wait({other}, timeout=0.1)

    claimed = await other
    assert claimed
    assert claimed.id == second
    assert await videos.claim() is None


async def test_a_job_is_claimed_again_when_its_lease_is_over(videos):
    await videos.add_job()
    first = await videos.claim(lease_ms=1000)
    assert await videos.claim() is None

    await videos.let_pass(2)
    again = await videos.claim()

    assert again.id == first.id
    assert again.attempts == 2
    assert again.lease_token != first.lease_token


async def test_a_renewed_lease_keeps_the_job(videos):
    await videos.add_job()
    video = await videos.claim(lease_ms=1000)

    async with videos.database.write() as connection:
        await renew_lease(connection, video, lease_ms=LEASE_MS)

    await videos.let_pass(2)
    assert await videos.claim() is None


@pytest.mark.parametrize(
    "change",
    [
        mark_uploaded,
        lambda connection, video: renew_lease(connection, video, lease_ms=2**40),
        lambda connection, video: release_video(connection, video, delay_ms=0, counts=True),
        lambda connection, video: set_failure_reason(connection, video, reason="x"),
        lambda connection, video: publish_video(connection, video, now_ms=now_ms()),
        fail_video,
    ],
    ids=["mark_uploaded", "renew", "release", "set_failure_reason", "publish", "fail"],
)
async def test_who_has_lost_the_lease_changes_nothing(videos, change):
    video_id = await videos.add_job()
    late = await videos.claim(lease_ms=0)
    await videos.let_pass(1)
    holder = await videos.claim()
    before = await videos.row(video_id)

    with pytest.raises(LeaseLost):
        async with videos.database.write() as connection:
            await change(connection, late)

    assert await videos.row(video_id) == before
    assert await videos.work_count() == 0
    assert await videos.publish(holder) > 0


@pytest.mark.parametrize(("counts", "attempts"), [(True, 2), (False, 1)])
async def test_an_attempt_that_does_not_count_is_as_if_never_made(videos, counts, attempts):
    await videos.add_job()
    video = await videos.claim()

    async with videos.database.write() as connection:
        await release_video(connection, video, delay_ms=LEASE_MS, counts=counts)

    assert await videos.claim() is None
    await videos.let_pass(LEASE_MS / 1000 + 0.001)
    assert (await videos.claim()).attempts == attempts


async def test_a_sweep_that_is_given_back_at_once_is_swept_later(videos):
    video_id = await videos.add_job()
    failing = await videos.claim()
    async with videos.database.write() as connection:
        await fail_video(connection, failing, sweep_delay_ms=1000)
    await videos.let_pass(2)
    sweeper = await videos.claim(status=VideoStatus.FAILED)

    async with videos.database.write() as connection:
        await release_video(connection, sweeper, delay_ms=0, counts=False)

    assert (await videos.claim(status=VideoStatus.FAILED)).id == video_id


async def test_a_failing_video_keeps_its_reason_for_whoever_cleans_up(videos):
    video_id = await videos.add_job()
    video = await videos.claim(lease_ms=0)
    async with videos.database.write() as connection:
        await set_failure_reason(connection, video, reason="坏了")

    await videos.let_pass(1)
    cleaner = await videos.claim()
    assert cleaner.failure_reason == "坏了"
    async with videos.database.write() as connection:
        await fail_video(connection, cleaner)

    async with videos.database.read_source() as connection:
        (told,) = await list_publications(
            connection, author_id=videos.author_id, video_id=None, before_id=2**60, limit=9
        )
    assert (told.id, told.status, told.failure_reason) == (video_id, VideoStatus.FAILED, "坏了")
    await videos.let_pass(2**40)
    assert await videos.claim() is None
    assert await videos.feed() == []
