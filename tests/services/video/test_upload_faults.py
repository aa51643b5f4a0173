"""Streams that break off, servers and disks that fail, leases that are lost: no upload is a success that is not safe."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from dal.db.models import Video, VideoStatus
from pkg.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
)
from protos.video_pb2 import PublishActionRequest
from tests.eventually import eventually
from tests.freezing import frozen
from tests.services.video.uploading import LEASE_S, MIB, assert_nothing_left, cut

APP_PATIENCE_S = 4.5


async def test_an_interrupted_stream_leaves_nothing(upload_service, video_bytes):
    async def endless() -> AsyncIterator[PublishActionRequest]:
        yield PublishActionRequest(token=upload_service.phone.token, title="t", size=MIB)
        yield PublishActionRequest(data=video_bytes[: MIB // 2])
        await asyncio.Event().wait()

    calling = asyncio.ensure_future(upload_service.stub.PublishAction(endless()))
    await eventually(lambda: upload_service.spooled_bytes() > 0)

    calling.cancel()
    await asyncio.wait({calling})

    await eventually(lambda: upload_service.spooled_bytes() == 0)
    await assert_nothing_left(upload_service)


async def test_the_row_is_there_before_the_first_byte_is_stored(
    servers, upload_service, video_bytes
):
    await asyncio.to_thread(servers.stop, "s3")
    try:
        with pytest.raises(DependencyUnavailable):
            await upload_service.phone.publish([video_bytes])
    finally:
        await asyncio.to_thread(servers.start, "s3")

    (video_id,) = await upload_service.rows()
    row = await upload_service.videos.row(video_id)
    assert row.status == VideoStatus.UPLOADING
    assert row.upload_key
    # Whoever cleans up finds it when its lease is over.
    await upload_service.videos.let_pass(LEASE_S + 0.001)
    claimed = await upload_service.videos.claim(status=VideoStatus.UPLOADING)
    assert claimed.id == video_id
    assert upload_service.spooled_bytes() == 0


async def test_a_slow_upload_keeps_its_lease(servers, upload_service, video_bytes):
    with frozen(servers.pid("s3")):
        publishing = asyncio.create_task(upload_service.phone.publish([video_bytes]))
        await eventually(upload_service.rows)
        (video_id,) = await upload_service.rows()
        first_end = (await upload_service.videos.row(video_id)).lease_expires_at_ms

        async def lease_was_renewed() -> bool:
            renewed = (await upload_service.videos.row(video_id)).lease_expires_at_ms
            return bool(renewed > first_end + 1000 * LEASE_S)

        await eventually(lease_was_renewed)
        assert await upload_service.videos.claim(status=VideoStatus.UPLOADING) is None

    assert await publishing == video_id
    assert (await upload_service.videos.row(video_id)).status == VideoStatus.PROCESSING


@pytest.mark.parametrize("size", [0, 12 * MIB], ids=["small", "large"])
async def test_a_frozen_storage_is_told_before_the_app_gives_up(
    servers, upload_service, video_bytes, size
):
    with frozen(servers.pid("s3")):
        began = time.monotonic()
        with pytest.raises(DependencyUnavailable):
            await upload_service.phone.publish(cut(video_bytes + bytes(size), MIB))

        assert time.monotonic() - began < APP_PATIENCE_S

    assert upload_service.spooled_bytes() == 0


async def test_an_upload_that_lost_its_lease_is_no_success(servers, upload_service, video_bytes):
    with frozen(servers.pid("s3")):
        publishing = asyncio.create_task(upload_service.phone.publish([video_bytes]))
        await eventually(upload_service.rows)
        async with upload_service.videos.database.write() as connection:
            await connection.execute(update(Video).values(lease_token=secrets.token_hex(16)))

        with pytest.raises(DeadlineExceeded):
            await publishing

    (video_id,) = await upload_service.rows()
    assert (await upload_service.videos.row(video_id)).status == VideoStatus.UPLOADING
    assert not upload_service.woken.is_set()


async def test_a_disk_that_fails_is_told_as_such(upload_service, video_bytes):
    upload_service.spool_dir.write_bytes(b"no folder")

    with pytest.raises(DependencyUnavailable):
        await upload_service.phone.publish([video_bytes])

    assert await upload_service.rows() == []
