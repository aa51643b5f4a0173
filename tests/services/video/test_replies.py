"""The reply to a publish waits a moment for the outcome, and never longer than it may."""

import asyncio
from pathlib import Path

import pytest
import yaml

from dal.db.models import VideoStatus
from dal.db.upload_jobs import fail_video, set_failure_reason
from pkg.errors import RateLimited, VideoRejected
from protos.video_pb2 import PublishActionRequest
from services.video.handler import REPLY_MARGIN_S
from tests.eventually import eventually
from tests.freezing import frozen
from tests.services.video.uploading import MAX_UNFINISHED, MAX_WAITING


@pytest.fixture
def publish_wait_s() -> float:
    """So long that a reply which comes has a reason to come."""
    return 60


@pytest.fixture
async def publishing(upload_service, video_bytes):
    """An upload that is stored, and whose reply waits."""
    task = asyncio.create_task(upload_service.phone.publish([video_bytes]))
    await eventually(lambda: upload_service.outcomes.waiting == 1)
    assert not task.done()
    yield task
    task.cancel()
    await asyncio.wait({task})


async def test_the_reply_comes_when_another_instance_has_published_the_video(
    upload_service, publishing
):
    video = await upload_service.videos.claim()
    await upload_service.videos.publish(video)

    assert await publishing == video.id


async def test_a_worker_of_the_same_process_tells_at_once(upload_service, video_bytes, monkeypatch):
    monkeypatch.setattr("services.video.outcomes.LOOK_INTERVAL_S", 60)
    publishing = asyncio.create_task(upload_service.phone.publish([video_bytes]))
    await eventually(lambda: upload_service.outcomes.waiting == 1)
    video = await upload_service.videos.claim()
    await upload_service.videos.publish(video)

    upload_service.outcomes.tell(video.id)

    assert await publishing == video.id


async def test_the_reply_tells_a_failure_with_its_reason(upload_service, publishing):
    video = await upload_service.videos.claim()
    async with upload_service.videos.database.write() as connection:
        await set_failure_reason(connection, video, reason="视频太长")
        await fail_video(connection, video)

    with pytest.raises(VideoRejected, match="视频太长"):
        await publishing


async def test_what_takes_longer_than_the_caller_waits_is_a_success(upload_service, video_bytes):
    request = PublishActionRequest(
        token=upload_service.phone.token, title="t", size=len(video_bytes), data=video_bytes
    )

    reply = await upload_service.stub.PublishAction(iter([request]), timeout=2)

    row = await upload_service.videos.row(reply.video_id)
    assert row.status == VideoStatus.PROCESSING


async def test_with_many_replies_waiting_the_next_one_comes_at_once(upload_service, video_bytes):
    waiting = [
        asyncio.create_task(upload_service.phone.publish([video_bytes])) for _ in range(MAX_WAITING)
    ]
    await eventually(lambda: upload_service.outcomes.waiting == MAX_WAITING)

    assert await upload_service.phone.publish([video_bytes])

    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_nothing_waits_for_a_client_that_has_gone(upload_service, publishing):
    publishing.cancel()

    await eventually(lambda: upload_service.outcomes.waiting == 0)
    (video_id,) = await upload_service.rows()
    assert (await upload_service.videos.row(video_id)).status == VideoStatus.PROCESSING


async def test_a_database_that_does_not_answer_any_more_leaves_the_upload_a_success(
    servers, upload_service, publishing
):
    with frozen(servers.pid("mysql")):
        video_id = await publishing

    assert await upload_service.rows() == [video_id]


async def test_who_has_many_unfinished_uploads_is_refused_before_the_rest_is_sent(
    upload_service, video_bytes
):
    for _ in range(MAX_UNFINISHED):
        await upload_service.videos.add_job()

    with pytest.raises(RateLimited, match="正在处理"):
        await upload_service.phone.publish([video_bytes + bytes(10_000_000)])

    assert upload_service.phone.sent == 1
    assert len(await upload_service.rows()) == MAX_UNFINISHED
    assert upload_service.spooled_bytes() == 0


def test_the_app_still_listens_when_the_reply_comes(settings):
    gateway = yaml.safe_load(Path("config/gateway.yml").read_text())

    assert gateway["upload_timeout_s"] <= 4
    assert settings.video.publish_wait_s + REPLY_MARGIN_S < gateway["upload_timeout_s"]
