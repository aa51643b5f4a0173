"""Objects are looked at and copied without leaving the storage."""

from collections.abc import AsyncIterator

import pytest

from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.storage import Bucket
from pkg.storage_copies import CopyingStorage
from services.buckets import BUCKETS, VIDEO_COVERS_BUCKET, VIDEOS_BUCKET
from tests.pkg.storage.conftest import PutObject
from tests.pkg.storage.s3_server import S3Server

pytestmark = pytest.mark.servers
# As the original made them.
KEY = "7_你好 世界?#%41/+&_1690000000000.mp4"


@pytest.fixture
async def storage(server: S3Server) -> AsyncIterator[CopyingStorage]:
    async with CopyingStorage(server.settings) as opened:
        await opened.ensure_buckets(BUCKETS)
        yield opened


async def test_the_first_bytes_of_an_object_are_read_alone(
    storage: CopyingStorage, put_object: PutObject
):
    await put_object(VIDEOS_BUCKET, KEY, b"0123456789")
    await put_object(VIDEOS_BUCKET, "empty", b"")

    assert await storage.read_start(VIDEOS_BUCKET, KEY, 4) == b"0123"
    assert await storage.read_start(VIDEOS_BUCKET, KEY, 400) == b"0123456789"
    assert await storage.read_start(VIDEOS_BUCKET, "missing", 4) is None
    with pytest.raises(DependencyRefused):
        await storage.read_start(Bucket("no-such-bucket", is_public=True), KEY, 4)


async def test_a_copy_has_the_content_and_the_original_stays(
    storage: CopyingStorage, put_object: PutObject, server: S3Server
):
    content = bytes(range(256)) * 1000
    await put_object(VIDEO_COVERS_BUCKET, KEY, content)

    # The second time as well.
    for _ in range(2):
        await storage.copy(VIDEO_COVERS_BUCKET, KEY, "copy.jpg", "image/jpeg")

    for key in (KEY, "copy.jpg"):
        assert await storage.read_start(VIDEO_COVERS_BUCKET, key, len(content)) == content


async def test_a_copy_of_what_is_missing_is_an_error(storage: CopyingStorage):
    with pytest.raises(DependencyUnavailable):
        await storage.copy(VIDEOS_BUCKET, "missing", "copy.mp4", "video/mp4")
