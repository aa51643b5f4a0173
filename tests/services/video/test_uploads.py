"""An upload is stored as it was sent: safe when it is answered."""

import asyncio
import re

import pytest

from dal.db.models import VideoStatus
from protos.video_pb2 import PublishActionRequest
from services.buckets import VIDEO_UPLOADS_BUCKET
from tests.services.video.uploading import cut

RANDOM_KEY = re.compile(r"[0-9a-f]{40}(\.mp4|\.jpg)?")


@pytest.mark.parametrize("size", [61, 4095, 4096, 4097, 256 * 1024, 2**30])
async def test_an_upload_is_stored_as_it_was_sent_however_it_was_cut(
    upload_service, video_bytes, tmp_path, size
):
    first = PublishActionRequest(
        token=upload_service.phone.token, title=" 第一个🐶 ", size=len(video_bytes)
    )
    chunks = [PublishActionRequest(data=chunk) for chunk in cut(video_bytes, size)]

    video_id = await upload_service.phone.send([first, *chunks])

    row = await upload_service.videos.row(video_id)
    assert (row.status, row.title) == (VideoStatus.PROCESSING, "第一个🐶")
    assert row.author_id == upload_service.videos.author_id
    await upload_service.storage.get_file(VIDEO_UPLOADS_BUCKET, row.upload_key, tmp_path / "stored")
    assert (tmp_path / "stored").read_bytes() == video_bytes
    assert upload_service.woken.is_set()
    assert upload_service.spooled_bytes() == 0
    claimed = await upload_service.videos.claim()
    assert (claimed.id, claimed.attempts) == (video_id, 1)


async def test_data_may_come_with_the_first_message_and_some_may_be_empty(
    upload_service, video_bytes
):
    messages = [
        PublishActionRequest(
            token=upload_service.phone.token,
            title="t",
            size=len(video_bytes),
            data=video_bytes[:10],
        ),
        PublishActionRequest(),
        PublishActionRequest(data=video_bytes[10:]),
        PublishActionRequest(),
    ]

    assert await upload_service.phone.send(messages)


async def test_keys_are_never_made_of_titles_or_names(upload_service, video_bytes):
    ids = [
        await upload_service.phone.publish([video_bytes], title="secret title") for _ in range(2)
    ]

    rows = [await upload_service.videos.row(video_id) for video_id in ids]
    keys = [key for row in rows for key in (row.upload_key, row.play_url, row.cover_url)]
    assert len(set(keys)) == 6
    assert all(RANDOM_KEY.fullmatch(key) for key in keys)
    assert all(len(key) >= 32 for key in keys)


async def test_a_title_of_fifty_emoji_fits(upload_service, video_bytes):
    video_id = await upload_service.phone.publish([video_bytes], title="🐶" * 50)

    assert (await upload_service.videos.row(video_id)).title == "🐶" * 50


async def test_many_uploads_at_once_do_not_mix(upload_service, video_bytes, tmp_path):
    contents = [video_bytes + bytes([number]) * 1000 for number in range(8)]

    ids = await asyncio.gather(*(upload_service.phone.publish(cut(c, 10_000)) for c in contents))

    for number, video_id in enumerate(ids):
        row = await upload_service.videos.row(video_id)
        await upload_service.storage.get_file(
            VIDEO_UPLOADS_BUCKET, row.upload_key, tmp_path / str(number)
        )
        assert (tmp_path / str(number)).read_bytes() == contents[number]
