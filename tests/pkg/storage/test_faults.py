"""A server that is frozen or killed, and callers that go away: calls end in time and nothing half is left."""

import asyncio
import http.client
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pkg.errors import DependencyUnavailable
from pkg.storage import Bucket, Storage, random_key
from services.buckets import BUCKETS, VIDEO_UPLOADS_BUCKET, VIDEOS_BUCKET
from tests.eventually import eventually
from tests.pkg.storage.conftest import PutObject
from tests.pkg.storage.s3_server import TIMEOUT_S, S3Server

pytestmark = pytest.mark.servers


async def test_a_client_that_dies_while_it_stores_leaves_no_object(
    storage: Storage, put_object: PutObject, server: S3Server
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.settings.port)
    connection.putrequest("PUT", server.sign_put(VIDEOS_BUCKET.name, "half"))
    connection.putheader("Content-Length", "3000000")
    connection.endheaders(b"x" * 2_000_000)

    connection.close()

    async with asyncio.timeout(5):
        await put_object(VIDEOS_BUCKET, "whole")
    assert not await storage.exists(VIDEOS_BUCKET, "half")


def list_calls(video: Path) -> dict[str, Callable[[Storage], Coroutine[Any, Any, object]]]:
    return {
        "put_file": lambda s: s.put_file(VIDEO_UPLOADS_BUCKET, random_key(), video, "video/mp4"),
        "get_file": lambda s: s.get_file(VIDEO_UPLOADS_BUCKET, "key", video),
        "exists": lambda s: s.exists(VIDEO_UPLOADS_BUCKET, "key"),
        # Not "key": a server that thaws carries out what it had received.
        "delete": lambda s: s.delete(VIDEO_UPLOADS_BUCKET, "another"),
        "ensure_buckets": lambda s: s.ensure_buckets(BUCKETS),
    }


async def wait_until_exists(storage: Storage, bucket: Bucket, key: str) -> None:
    async def exists() -> bool:
        with suppress(DependencyUnavailable):
            return await storage.exists(bucket, key)
        return False

    await eventually(exists, within_s=20)


def has_bytes_on_the_way(port: int) -> bool:
    """Tell whether a connection to this port holds bytes that the other side has not taken."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, _, queues, *_ = line.split()
        if int(remote.split(":")[1], 16) == port and int(queues.split(":")[0], 16) > 0:
            return True
    return False


async def test_calls_to_a_frozen_server_end_within_their_deadline(
    storage: Storage, put_object: PutObject, server: S3Server, video: Path
) -> None:
    await put_object(VIDEO_UPLOADS_BUCKET, "key")
    server.freeze()

    # More calls than threads: those that wait for a thread have a deadline too.
    begin = time.monotonic()
    calls = [call(storage) for call in list_calls(video).values() for _ in range(3)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [DependencyUnavailable] * len(calls)
    # Of these, put_file has most: 1.5 s for its 3 MB on top. The rest is for a busy machine.
    assert time.monotonic() - begin < TIMEOUT_S + 1.5 + 4

    server.thaw()
    await wait_until_exists(storage, VIDEO_UPLOADS_BUCKET, "key")


async def test_a_cancelled_call_ends_at_once(
    storage: Storage, server: S3Server, video: Path
) -> None:
    server.freeze()
    call = asyncio.create_task(
        storage.put_file(VIDEO_UPLOADS_BUCKET, random_key(), video, "video/mp4")
    )
    await eventually(lambda: has_bytes_on_the_way(server.settings.port))

    begin = time.monotonic()
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - begin < TIMEOUT_S / 2


async def test_a_killed_server_is_an_error_and_keeps_what_it_acknowledged(
    storage: Storage, server: S3Server, video: Path, tmp_path: Path
) -> None:
    key = random_key(".mp4")
    await storage.put_file(VIDEO_UPLOADS_BUCKET, key, video, "video/mp4")
    server.kill()

    for call in list_calls(video).values():
        with pytest.raises(DependencyUnavailable):
            await call(storage)

    # Here and not in a thread: the server is to live as long as the thread that started it.
    server.start()
    await wait_until_exists(storage, VIDEO_UPLOADS_BUCKET, key)
    await storage.get_file(VIDEO_UPLOADS_BUCKET, key, tmp_path / "back.mp4")
    assert (tmp_path / "back.mp4").stat().st_size == 3_000_000
