"""Storage behind something that accepts and fails, and storage that refuses us: an outage and a refusal are told apart."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

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
