"""Workers that run: they share the work, are woken, stop at once and outlive the database."""

import asyncio

import pytest

from dal.db.models import VideoStatus
from tests.bad_servers import Behaviour, bad_server_before, on_uvloop
from tests.eventually import eventually
from tests.services.video.processing import (
    HEAVY,
    has_published,
    is_idle,
    open_processing,
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


@pytest.mark.parametrize("behaviour", [Behaviour.CLOSING, Behaviour.RUBBISH])
@on_uvloop
async def test_a_database_that_refuses_connections_ends_no_worker_and_costs_no_attempt(
    settings, samples, tmp_path, behaviour
):
    with bad_server_before(settings.mysql.port) as bad:
        mysql = settings.mysql.model_copy(update={"port": bad.port})
        async with (
            open_processing(settings, settings.mysql, tmp_path) as processing,
            open_processing(settings, mysql, tmp_path) as behind_proxy,
        ):
            bad.turn(behaviour)
            async with running(behind_proxy.worker(lane=HEAVY)):
                video_id = await processing.add_upload(samples / "slow.avi")
                await processing.work()
                await eventually(lambda: bad.refused > 3)  # It looks for work all the time.
                bad.turn(Behaviour.GOOD)
                await eventually(lambda: list(processing.settings.spool_dir.glob("*/upload")))
                bad.turn(behaviour)
                await eventually(processing.is_clean)
                await eventually(lambda: processing.lease_is_over(video_id))
                assert await processing.videos.feed() == []

                bad.turn(Behaviour.GOOD)
                await eventually(lambda: has_published(processing, 1))

            assert (await processing.videos.row(video_id)).attempts == 1
            await processing.assert_published(video_id)
