"""Storage behind something that accepts and fails, and storage that refuses us: an outage and a refusal are told apart."""

import asyncio
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.storage import Bucket, Storage, StorageSettings, random_key
from services.buckets import BUCKETS, VIDEO_UPLOADS_BUCKET
from tests.bad_servers import BAD, BadServer, Behaviour, bad_server_before, on_uvloop
from tests.eventually import eventually
from tests.pkg.storage.s3_server import S3Server
from tests.pkg.storage.test_faults import list_calls

pytestmark = pytest.mark.servers

TIMEOUT_S = 1.0


@pytest.fixture
def proxied(server: S3Server) -> Iterator[tuple[BadServer, StorageSettings]]:
    with bad_server_before(server.settings.port) as bad:
        changes = {"port": bad.port, "timeout_s": TIMEOUT_S}
        yield bad, server.settings.model_copy(update=changes)


@pytest.mark.parametrize("behaviour", BAD)
@on_uvloop
async def test_storage_behind_a_proxy_that_turns_bad_is_unavailable_and_used_again_afterwards(
    proxied, behaviour, video
):
    bad, settings = proxied
    async with Storage(settings) as storage:
        await storage.ensure_buckets(BUCKETS)
        bad.turn(behaviour)

        began = time.monotonic()
        calls = [call(storage) for call in list_calls(video).values()]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [DependencyUnavailable] * len(calls)
        assert time.monotonic() - began < TIMEOUT_S + 1.5 + 1  # 1.5 s for the 3 MB of one
        bad.turn(Behaviour.GOOD)
        await eventually(lambda: works(storage))


async def works(storage: Storage) -> bool:
    try:
        await storage.exists(VIDEO_UPLOADS_BUCKET, "key")
    except DependencyUnavailable:
        return False
    return True


@pytest.mark.parametrize("secret", ["access_key", "secret_key"])
async def test_storage_that_does_not_know_our_key_refuses(
    server: S3Server, video: Path, secret: str
) -> None:
    wrong = {secret: type(server.settings.secret_key)("0123456789abcdef")}
    async with Storage(server.settings.model_copy(update=wrong)) as storage:
        for call in list_calls(video).values():
            with pytest.raises(DependencyRefused, match="403"):
                await call(storage)


async def test_an_object_of_a_bucket_that_is_missing_is_not_a_missing_object(
    storage: Storage, tmp_path: Path
) -> None:
    nowhere = Bucket("tiktok-nowhere", is_public=False)

    with pytest.raises(DependencyRefused, match="no bucket"):
        await storage.get_file(nowhere, random_key(), tmp_path / "file")


class WrongClock(BaseHTTPRequestHandler):
    """Refuses as S3 does when the clocks of both sides are far apart."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


async def test_storage_that_refuses_because_of_a_clock_is_an_outage_that_ends(
    server: S3Server, video: Path
) -> None:
    with HTTPServer(("127.0.0.1", 0), WrongClock) as wrong:
        Thread(target=wrong.serve_forever, daemon=True).start()
        settings = server.settings.model_copy(update={"port": wrong.server_port})
        async with Storage(settings) as storage:
            with pytest.raises(DependencyUnavailable, match="RequestTimeTooSkewed") as caught:
                await storage.put_file(VIDEO_UPLOADS_BUCKET, "key", video, "video/mp4")
        wrong.shutdown()

    assert type(caught.value) is DependencyUnavailable
