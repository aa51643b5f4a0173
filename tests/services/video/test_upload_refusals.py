"""What breaks a rule is refused as early as possible, and nothing of it is left."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from sqlalchemy import func, update

from dal.db.models import User
from pkg.errors import (
    InvalidParameter,
    PayloadTooLarge,
    Unauthenticated,
    UnsupportedVideo,
)
from pkg.rpc.status import decode_error
from protos.video_pb2 import PublishActionRequest
from tests.media_samples import HLS_PLAYLIST
from tests.services.video.uploading import MIB, assert_nothing_left, cut


@pytest.mark.parametrize("difference", [-1, 1, 100_000])
async def test_a_stream_of_another_length_than_announced_is_refused(
    upload_service, video_bytes, difference
):
    with pytest.raises(InvalidParameter):
        await upload_service.phone.publish([video_bytes], size=len(video_bytes) + difference)

    await assert_nothing_left(upload_service)


async def test_no_content_is_no_video(upload_service):
    for chunks in ([], [b""], [b"", b""]):
        with pytest.raises(UnsupportedVideo):
            await upload_service.phone.publish(chunks)

    await assert_nothing_left(upload_service)


async def test_a_stream_without_a_message_is_refused(upload_service):
    with pytest.raises(InvalidParameter):
        await upload_service.phone.send([])


@pytest.mark.parametrize(
    "beginning",
    [
        b"just a text, ",
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"GIF89a",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"ID3\x03",
        HLS_PLAYLIST,
        b"\x00\x00\x00\x1cftypheic" + bytes(40),
        bytes(64),
    ],
    ids=["text", "png", "jpeg", "gif", "pdf", "zip", "mp3", "playlist", "heic", "zeros"],
)
async def test_what_does_not_begin_like_a_video_is_refused_before_the_rest_is_sent(
    upload_service, beginning
):
    chunks = cut(beginning.ljust(16 * MIB, beginning[-1:]), MIB // 16)

    with pytest.raises(UnsupportedVideo):
        await upload_service.phone.publish(chunks)

    assert upload_service.phone.sent == 1
    await assert_nothing_left(upload_service)


async def test_a_video_in_a_format_that_is_not_supported_is_told_so(upload_service):
    wmv = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"

    with pytest.raises(UnsupportedVideo) as caught:
        await upload_service.phone.publish([wmv + bytes(6000)])

    assert str(caught.value) == "不支持 WMV 视频,请转换成 MP4 后再上传"


async def test_a_short_text_is_refused_too(upload_service):
    with pytest.raises(UnsupportedVideo):
        await upload_service.phone.publish([b"hello"])


async def test_more_than_the_limit_is_refused_when_it_is_announced(upload_service, video_bytes):
    with pytest.raises(PayloadTooLarge):
        await upload_service.phone.publish(cut(video_bytes + bytes(16 * MIB), MIB // 4))

    await assert_nothing_left(upload_service)


async def test_more_than_was_announced_is_refused_when_it_is_passed(upload_service, video_bytes):
    first = PublishActionRequest(
        token=upload_service.phone.token, title="t", size=len(video_bytes) + 5
    )
    done = asyncio.Event()

    async def endless() -> AsyncIterator[PublishActionRequest]:
        yield first
        yield PublishActionRequest(data=video_bytes + bytes(6))
        await done.wait()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload_service.stub.PublishAction(endless(), timeout=10)
    done.set()

    assert type(decode_error(caught.value)) is InvalidParameter
    await assert_nothing_left(upload_service)


@pytest.mark.parametrize("title", ["", " \u3000", "x" * 51, "a\nb"])
async def test_a_title_that_breaks_a_rule_is_refused(upload_service, video_bytes, title):
    with pytest.raises(InvalidParameter, match="标题"):
        await upload_service.phone.publish([video_bytes], title=title)

    await assert_nothing_left(upload_service)


@pytest.mark.parametrize("token", ["", "junk"])
async def test_nobody_publishes_without_a_token(upload_service, video_bytes, token):
    with pytest.raises(Unauthenticated):
        await upload_service.phone.publish([video_bytes], token=token)

    await assert_nothing_left(upload_service)


async def test_a_deleted_account_publishes_nothing(upload_service, video_bytes):
    async with upload_service.videos.database.write() as connection:
        statement = update(User).where(User.id == upload_service.videos.author_id)
        await connection.execute(statement.values(deleted_at=func.now(3)))

    with pytest.raises(Unauthenticated):
        await upload_service.phone.publish([video_bytes])
