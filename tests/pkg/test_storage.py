"""pkg.storage on a real S3 server that is asked by strangers, frozen, killed and started again."""

import asyncio
import filecmp
import http.client
import os
import resource
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from pkg.errors import DependencyUnavailable
from pkg.storage import (
    PUBLIC_CACHE_CONTROL,
    Bucket,
    ObjectMissing,
    Storage,
    StorageSettings,
    object_path,
    random_key,
)
from scripts.stack import find_free_port_base
from scripts.stack.ports import Ports
from scripts.stack.servers.s3 import REGION, S3
from scripts.stack.site import Site
from services.buckets import (
    BUCKETS,
    PUBLIC_BUCKETS,
    USER_AVATARS_BUCKET,
    USER_BACKGROUNDS_BUCKET,
    VIDEO_UPLOADS_BUCKET,
    VIDEOS_BUCKET,
)
from services.user.default_images import ensure_default_images

pytestmark = pytest.mark.servers

TIMEOUT_S = 3.0


class S3Server:
    """A real S3 server in a folder of its own, which a test may freeze and kill."""

    def __init__(self, folder: Path) -> None:
        self._s3 = S3(Site(folder / "run", Ports(find_free_port_base())))
        self._log = folder / "s3.log"
        self._s3.site.claim_socket_dir()
        self._s3.prepare()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> StorageSettings:
        site = self._s3.site
        return StorageSettings(
            host="127.0.0.1",
            port=site.ports.of("s3"),
            secure=False,
            access_key=site.credentials.s3_access_key,
            secret_key=site.credentials.s3_secret_key,
            region=REGION,
            timeout_s=TIMEOUT_S,
        )

    def start(self) -> None:

        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._s3.command],
                env={**os.environ, **self._s3.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 30
        while not self._works():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text()[-2000:])
            time.sleep(0.1)

    def _works(self) -> bool:
        try:
            self._s3.probe()
        except (MinioException, HTTPError, OSError):
            return False
        return True

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def clean_up(self) -> None:
        self.kill()
        self._s3.site.release_socket_dir()

    def ask(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        """Ask without credentials, as a phone does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.port, timeout=10)
        with closing(connection):
            connection.request(method, f"/{path}", headers=headers)
            reply = connection.getresponse()
            reply.read()
            return reply


@pytest.fixture(scope="module")
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
    running_server.signal(signal.SIGCONT)


@pytest.fixture
async def storage(server: S3Server) -> AsyncIterator[Storage]:
    async with Storage(server.settings) as storage:
        await storage.ensure_buckets(BUCKETS)
        yield storage


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(os.urandom(3_000_000))
    return path


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
            assert await one.list_keys(bucket, prefix="nothing", limit=1) == []


async def test_a_file_comes_back_as_it_was(storage: Storage, film: Path, tmp_path: Path) -> None:
    key = random_key(".mp4")

    await storage.put_file(VIDEO_UPLOADS_BUCKET, key, film, "video/mp4")
    await storage.get_file(VIDEO_UPLOADS_BUCKET, key, tmp_path / "back.mp4")

    assert filecmp.cmp(tmp_path / "back.mp4", film, shallow=False)
    assert await storage.find_size(VIDEO_UPLOADS_BUCKET, key) == 3_000_000


@pytest.mark.parametrize("bucket", PUBLIC_BUCKETS)
async def test_anyone_reads_a_public_object_in_parts_and_may_keep_it(
    storage: Storage, server: S3Server, bucket: Bucket
) -> None:
    key = random_key(".mp4")
    await storage.put_bytes(bucket, key, b"0123456789", "video/mp4")

    reply = server.ask(object_path(bucket, key), Range="bytes=2-4")

    assert reply.status == 206
    assert reply.headers["Content-Range"] == "bytes 2-4/10"
    assert reply.headers["Content-Type"] == "video/mp4"
    assert reply.headers["Cache-Control"] == PUBLIC_CACHE_CONTROL


@pytest.mark.parametrize("bucket", PUBLIC_BUCKETS)
async def test_strangers_neither_list_nor_write_nor_remove(
    storage: Storage, server: S3Server, bucket: Bucket
) -> None:
    key = random_key(".mp4")
    await storage.put_bytes(bucket, key, b"content", "video/mp4")

    assert server.ask(bucket.name).status == 403
    assert server.ask(object_path(bucket, key), "PUT").status == 403
    assert server.ask(object_path(bucket, key), "DELETE").status == 403
    assert await storage.exists(bucket, key)


async def test_nobody_outside_reads_an_upload(storage: Storage, server: S3Server) -> None:
    await storage.put_bytes(VIDEO_UPLOADS_BUCKET, "upload", b"content", "video/mp4")

    assert server.ask(object_path(VIDEO_UPLOADS_BUCKET, "upload")).status == 403


async def test_what_is_missing_is_told_apart_from_a_failure(
    storage: Storage, tmp_path: Path
) -> None:
    assert not await storage.exists(VIDEOS_BUCKET, "missing")
    assert await storage.find_size(VIDEOS_BUCKET, "missing") is None
    with pytest.raises(ObjectMissing):
        await storage.get_file(VIDEOS_BUCKET, "missing", tmp_path / "file")


async def test_deleting_twice_is_fine(storage: Storage) -> None:
    await storage.put_bytes(VIDEOS_BUCKET, "twice", b"content", "video/mp4")

    await storage.delete(VIDEOS_BUCKET, "twice")
    await storage.delete(VIDEOS_BUCKET, "twice")

    assert not await storage.exists(VIDEOS_BUCKET, "twice")


async def test_keys_are_listed_by_prefix_and_up_to_a_limit(storage: Storage) -> None:
    for key in ("list/b", "list/a", "list/c", "other"):
        await storage.put_bytes(VIDEO_UPLOADS_BUCKET, key, b"", "video/mp4")

    keys = await storage.list_keys(VIDEO_UPLOADS_BUCKET, prefix="list/", limit=2)

    assert keys == ["list/a", "list/b"]


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


async def test_a_client_that_dies_while_it_stores_leaves_no_object(
    storage: Storage, server: S3Server
) -> None:
    request = storage._request("PUT", VIDEOS_BUCKET, "half")
    connection = http.client.HTTPConnection("127.0.0.1", server.settings.port)
    connection.putrequest("PUT", request.url.split("/", 3)[3].join(("/", "")))
    connection.putheader("Content-Length", "3000000")
    connection.endheaders(b"x" * 2_000_000)

    connection.close()

    async with asyncio.timeout(5):
        await storage.put_bytes(VIDEOS_BUCKET, "whole", b"content", "video/mp4")
    assert not await storage.exists(VIDEOS_BUCKET, "half")


def list_calls(film: Path) -> dict[str, Callable[[Storage], Coroutine[Any, Any, object]]]:
    return {
        "put_file": lambda s: s.put_file(VIDEO_UPLOADS_BUCKET, random_key(), film, "video/mp4"),
        "put_bytes": lambda s: s.put_bytes(VIDEO_UPLOADS_BUCKET, random_key(), b"x", "video/mp4"),
        "get_file": lambda s: s.get_file(VIDEO_UPLOADS_BUCKET, "key", film),
        "exists": lambda s: s.exists(VIDEO_UPLOADS_BUCKET, "key"),
        # Not "key": a server that thaws carries out what it had received.
        "delete": lambda s: s.delete(VIDEO_UPLOADS_BUCKET, "another"),
        "list_keys": lambda s: s.list_keys(VIDEO_UPLOADS_BUCKET, limit=1),
        "ensure_buckets": lambda s: s.ensure_buckets(BUCKETS),
    }


async def wait_until_exists(storage: Storage, bucket: Bucket, key: str) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(DependencyUnavailable):
                if await storage.exists(bucket, key):
                    return
            await asyncio.sleep(0.1)


async def test_calls_to_a_frozen_server_end_within_their_deadline(
    storage: Storage, server: S3Server, film: Path
) -> None:
    await storage.put_bytes(VIDEO_UPLOADS_BUCKET, "key", b"content", "video/mp4")
    server.signal(signal.SIGSTOP)

    # More calls than threads: those that wait for a thread have a deadline too.
    begin = time.monotonic()
    calls = [call(storage) for call in list_calls(film).values() for _ in range(3)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [DependencyUnavailable] * len(calls)
    # Of these, put_file has most: 1.5 s for its 3 MB on top. The rest is for a busy machine.
    assert time.monotonic() - begin < TIMEOUT_S + 1.5 + 4

    server.signal(signal.SIGCONT)
    await wait_until_exists(storage, VIDEO_UPLOADS_BUCKET, "key")


async def test_a_cancelled_call_ends_at_once(
    storage: Storage, server: S3Server, film: Path
) -> None:
    server.signal(signal.SIGSTOP)
    call = asyncio.create_task(
        storage.put_file(VIDEO_UPLOADS_BUCKET, random_key(), film, "video/mp4")
    )
    await asyncio.sleep(0.2)

    begin = time.monotonic()
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - begin < TIMEOUT_S / 2


async def test_a_killed_server_is_an_error_and_keeps_what_it_acknowledged(
    storage: Storage, server: S3Server, film: Path, tmp_path: Path
) -> None:
    key = random_key(".mp4")
    await storage.put_file(VIDEO_UPLOADS_BUCKET, key, film, "video/mp4")
    server.kill()

    for call in list_calls(film).values():
        with pytest.raises(DependencyUnavailable):
            await call(storage)

    # Here and not in a thread: the server is to live as long as the thread that started it.
    server.start()
    await wait_until_exists(storage, VIDEO_UPLOADS_BUCKET, key)
    await storage.get_file(VIDEO_UPLOADS_BUCKET, key, tmp_path / "back.mp4")
    assert (tmp_path / "back.mp4").stat().st_size == 3_000_000


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
