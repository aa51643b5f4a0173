"""Workers that run: they share the work, are woken, stop at once and outlive the database."""

import asyncio

import pytest
from pydantic import SecretStr

from dal.db.models import VideoStatus
from pkg.storage import Storage
from services.video import worker
from services.video.worker import STORAGE_REFUSES
from tests.bad_servers import Behaviour, bad_server_before, on_uvloop
from tests.eventually import eventually
from tests.services.video.processing import (
    HEAVY,
    LIGHT,
    has_published,
    is_idle,
    open_processing,
    running,
)


async def test_a_stopped_worker_gives_its_video_back_at_once_and_uncounted(processing, samples):
    video_id = await processing.add_upload(samples / "slow.avi")
    await processing.work()
    async with asyncio.timeout(30), running(processing.worker(lane=HEAVY)):
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


async def test_a_storage_that_refuses_is_tried_a_few_times_and_then_told(
    settings, processing, *, samples, logged, monkeypatch
):
    monkeypatch.setattr(worker, "REFUSED_RETRY_DELAY_S", 0.1)
    video_id = await processing.add_upload(samples / "video.mp4")
    wrong = settings.storage.model_copy(update={"secret_key": SecretStr("of somebody else")})
    async with Storage(wrong) as refusing, running(processing.worker(storage=refusing)):
        await eventually(lambda: processing.has_failed(video_id))

    row = await processing.videos.row(video_id)
    assert (row.failure_reason, row.attempts) == (STORAGE_REFUSES, 3)
    assert any(line.startswith("ERROR") and "403" in line for line in logged)
    # Once the operator has set the right key, nothing is left behind.
    await processing.worker().work_on(await eventually(lambda: processing.leases.claim(LIGHT)))
    await processing.assert_failed(video_id, STORAGE_REFUSES)


async def test_a_storage_that_refuses_for_a_while_costs_no_video(settings, processing, samples):
    video_id = await processing.add_upload(samples / "video.mp4")
    wrong = settings.storage.model_copy(update={"secret_key": SecretStr("of somebody else")})
    async with Storage(wrong) as refusing:
        await processing.worker(storage=refusing).work_on(await processing.claim())

    await processing.work()

    await processing.assert_published(video_id)
