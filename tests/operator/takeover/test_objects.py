"""Files that come from another storage, and what is known of a key."""

import io

import pytest

from pkg.storage_copies import CopyingStorage
from scripts.operator.takeover.findings import Findings, Kind
from scripts.operator.takeover.objects import MediaFiles, OtherStorage, served_type
from services.buckets import VIDEO_COVERS_BUCKET, VIDEOS_BUCKET
from tests.conftest import AllSettings
from tests.operator.takeover.dirt import JPEG, MP4
from tests.stored_objects import open_client


async def test_everything_is_copied_from_another_storage(settings: AllSettings, storage):
    client = open_client(settings.storage)
    for bucket, key, content in (
        (VIDEOS_BUCKET, "9_title_1.mp4", MP4),
        (VIDEO_COVERS_BUCKET, "9_title_1.png", JPEG),
    ):
        client.put_object(bucket.name, key, io.BytesIO(content), len(content))
    findings = Findings()

    async with CopyingStorage(settings.storage) as opened:
        # The same server plays both.
        files = MediaFiles(OtherStorage(opened, opened), seed="seed")
        video = await files.keep_video("9_title_1.mp4", findings, "video 9")
        cover = await files.keep_cover("9_title_1.png", findings, "video 9")
        again = await files.keep_video("9_title_1.mp4", Findings(), "video 9")
        missing = await files.keep_video("missing.mp4", findings, "video 10")

        assert video is not None
        assert video == again
        assert video != "9_title_1.mp4"
        assert await opened.read_start(VIDEOS_BUCKET, video, 4096) == MP4
        assert await opened.read_start(VIDEO_COVERS_BUCKET, cover, 4096) == JPEG
    assert missing is None
    assert cover.endswith(".jpg")
    assert [(kind, number) for kind, number, _ in findings] == [(Kind.FILE_COPIED, 2)]


@pytest.mark.parametrize(
    "key", ["1_你好_1.mp4", "1_a b_1.mp4", "1_a?_1.mp4", ".hidden", "a/", "", "x" * 256]
)
def test_a_key_that_no_url_of_ours_carries_is_served_as_nothing(key: str):
    assert served_type(VIDEOS_BUCKET, key) is None
