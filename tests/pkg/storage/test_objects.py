"""Objects are stored, read back, listed and removed, without growing memory."""

import asyncio
import filecmp
import resource
import time
from pathlib import Path

import pytest

from pkg.storage import ObjectMissing, Storage, object_path, random_key
from services.buckets import BUCKETS, VIDEO_UPLOADS_BUCKET, VIDEOS_BUCKET
from tests.pkg.storage.conftest import PutObject
from tests.pkg.storage.s3_server import S3Server

pytestmark = pytest.mark.servers


def test_keys_are_random_and_safe_in_any_url() -> None:
    keys = {random_key(".mp4") for _ in range(1000)}

    assert len(keys) == 1000
    assert all(len(key) >= 36 and key.removesuffix(".mp4").isalnum() for key in keys)
    assert object_path(VIDEOS_BUCKET, "key") == f"{VIDEOS_BUCKET.name}/key"


async def test_buckets_may_be_made_by_several_instances_at_once(server: S3Server) -> None:
    async with Storage(server.settings) as one, Storage(server.settings) as two:
        await asyncio.gather(
            one.ensure_buckets(BUCKETS), two.ensure_buckets(BUCKETS), one.ensure_buckets(BUCKETS)
        )

        for bucket in BUCKETS:
            assert server.has_bucket(bucket.name)


async def test_a_file_comes_back_as_it_was(storage: Storage, video: Path, tmp_path: Path) -> None:
    key = random_key(".mp4")

    await storage.put_file(VIDEO_UPLOADS_BUCKET, key, video, "video/mp4")
    await storage.get_file(VIDEO_UPLOADS_BUCKET, key, tmp_path / "back.mp4")

    assert filecmp.cmp(tmp_path / "back.mp4", video, shallow=False)
    assert await storage.find_size(VIDEO_UPLOADS_BUCKET, key) == 3_000_000


async def test_what_is_missing_is_told_apart_from_a_failure(
    storage: Storage, tmp_path: Path
) -> None:
    assert not await storage.exists(VIDEOS_BUCKET, "missing")
    assert await storage.find_size(VIDEOS_BUCKET, "missing") is None
    with pytest.raises(ObjectMissing):
        await storage.get_file(VIDEOS_BUCKET, "missing", tmp_path / "file")


async def test_deleting_twice_is_fine(storage: Storage, put_object: PutObject) -> None:
    await put_object(VIDEOS_BUCKET, "twice")

    await storage.delete(VIDEOS_BUCKET, "twice")
    await storage.delete(VIDEOS_BUCKET, "twice")

    assert not await storage.exists(VIDEOS_BUCKET, "twice")


async def test_memory_does_not_grow_with_the_file(storage: Storage, tmp_path: Path) -> None:
    big = tmp_path / "big.mp4"
    with big.open("wb") as file:
        file.truncate(100_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    begin = time.monotonic()
    await storage.put_file(VIDEO_UPLOADS_BUCKET, "big", big, "video/mp4")
    await storage.get_file(VIDEO_UPLOADS_BUCKET, "big", big)
    await storage.delete(VIDEO_UPLOADS_BUCKET, "big")

    print(f"100 MB there and back in {time.monotonic() - begin:.1f} s")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
