"""What strangers may do: read a public object whose key they know, and nothing else."""

import pytest

from pkg.errors import DependencyUnavailable
from pkg.storage import PUBLIC_CACHE_CONTROL, Bucket, Storage, object_path, random_key
from services.buckets import (
    BUCKETS,
    USER_AVATARS_BUCKET,
    USER_BACKGROUNDS_BUCKET,
    VIDEO_UPLOADS_BUCKET,
    VIDEOS_BUCKET,
)
from services.user.default_images import ensure_default_images
from tests.pkg.storage.conftest import PutObject
from tests.pkg.storage.s3_server import S3Server

pytestmark = pytest.mark.servers
PUBLIC_BUCKETS = [bucket for bucket in BUCKETS if bucket.is_public]


@pytest.mark.parametrize("bucket", PUBLIC_BUCKETS)
async def test_anyone_reads_a_public_object_in_parts_and_may_keep_it(
    storage: Storage, put_object: PutObject, server: S3Server, bucket: Bucket
) -> None:
    key = random_key(".mp4")
    await put_object(bucket, key, b"0123456789")

    reply = server.ask(object_path(bucket, key), Range="bytes=2-4")

    assert reply.status == 206
    assert reply.headers["Content-Range"] == "bytes 2-4/10"
    assert reply.headers["Content-Type"] == "video/mp4"
    assert reply.headers["Cache-Control"] == PUBLIC_CACHE_CONTROL


@pytest.mark.parametrize("bucket", PUBLIC_BUCKETS)
async def test_strangers_neither_list_nor_write_nor_remove(
    storage: Storage, put_object: PutObject, server: S3Server, bucket: Bucket
) -> None:
    key = random_key(".mp4")
    await put_object(bucket, key)

    assert server.ask(bucket.name).status == 403
    assert server.ask(object_path(bucket, key), "PUT").status == 403
    assert server.ask(object_path(bucket, key), "DELETE").status == 403
    assert await storage.exists(bucket, key)


async def test_nobody_outside_reads_an_upload(
    storage: Storage, put_object: PutObject, server: S3Server
) -> None:
    await put_object(VIDEO_UPLOADS_BUCKET, "upload")

    assert server.ask(object_path(VIDEO_UPLOADS_BUCKET, "upload")).status == 403


async def test_wrong_credentials_are_an_error_and_not_a_missing_object(server: S3Server) -> None:
    settings = server.settings.model_copy(update={"secret_key": server.settings.access_key})
    async with Storage(settings) as storage:
        with pytest.raises(DependencyUnavailable):
            await storage.exists(VIDEOS_BUCKET, "key")


async def test_everybody_has_an_avatar_and_a_background(storage: Storage, server: S3Server) -> None:
    await ensure_default_images(storage)
    await ensure_default_images(storage)

    avatar = server.ask(object_path(USER_AVATARS_BUCKET, "default_avatar.png"))
    background = server.ask(object_path(USER_BACKGROUNDS_BUCKET, "default_background.jpg"))
    assert (avatar.status, avatar.headers["Content-Type"]) == (200, "image/png")
    assert (background.status, background.headers["Content-Type"]) == (200, "image/jpeg")
