"""A real S3 server for the tests of storage, and the storage on it."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from pkg.storage import Bucket, Storage
from services.buckets import BUCKETS
from tests.pkg.storage.s3_server import S3Server


class PutObject(Protocol):
    async def __call__(self, bucket: Bucket, key: str, content: bytes = ..., /) -> None: ...


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        server.start()
        yield server
    finally:
        server.clean_up()


@pytest.fixture
def server(running_server: S3Server) -> Iterator[S3Server]:
    """The server, which runs again after the test, whatever the test did to it."""
    yield running_server
    running_server.thaw()


@pytest.fixture
async def storage(server: S3Server) -> AsyncIterator[Storage]:
    async with Storage(server.settings) as storage:
        await storage.ensure_buckets(BUCKETS)
        yield storage


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    path.write_bytes(os.urandom(3_000_000))
    return path


@pytest.fixture
def put_object(storage: Storage, tmp_path: Path) -> PutObject:
    """Stores a few bytes."""

    async def put(bucket: Bucket, key: str, content: bytes = b"content", /) -> None:
        path = tmp_path / "content"
        path.write_bytes(content)
        await storage.put_file(bucket, key, path, "video/mp4")

    return put
