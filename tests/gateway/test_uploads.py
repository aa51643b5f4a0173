"""Publishing: what the gateway does with an upload until the video service has it."""

import asyncio
import json
import os
import resource
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from pkg import errors
from pkg.token import TokenIssuer
from protos.video_pb2 import PublishActionReply
from tests.eventually import eventually
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.endpoints import assert_envelope
from tests.gateway.fakes import FakeServices
from tests.gateway.upload_forms import (
    BOUNDARY,
    HEADERS,
    PATH,
    VIDEO,
    fields_of,
    make_form,
    publish,
    request_head,
    send_beginning,
)

pytestmark = pytest.mark.timeout(60)


async def test_an_upload_reaches_the_service_whole_in_chunks_of_256_kib(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    response = await publish(client, fields_of(token).items())

    assert response.json() == {"status_code": 0, "status_msg": "成功", "video_id": 7}
    first = services.last("PublishAction")
    assert (first.token, first.title, first.size) == (token, "熊", len(VIDEO))
    sizes, digest = services.uploads[0]
    assert digest == sha256(VIDEO).hexdigest()
    assert max(sizes) == 256 * 1024


async def test_fields_come_in_any_order_and_unknown_ones_are_skipped(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    fields = list(fields_of(token).items())
    for order in (fields, fields[::-1], [fields[2], fields[0], fields[1]]):
        response = await publish(client, [("odd", b"x" * 99), *order])
        assert response.json()["status_code"] == 0

    assert {digest for _, digest in services.uploads} == {sha256(VIDEO).hexdigest()}


async def test_boundaries_are_found_however_the_body_is_cut(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    data = b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n-\r\n--" + b"\r" * 50
    body = make_form(fields_of(token, data=data).items())

    async def cut(size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]
            await asyncio.sleep(0)

    for size in (1, 7, 61):
        response = await client.post(PATH, content=cut(size), headers=HEADERS)
        assert response.json()["status_code"] == 0

    assert {digest for _, digest in services.uploads} == {sha256(data).hexdigest()}


async def test_the_first_token_found_wins_query_then_form_then_header(
    client: httpx.AsyncClient, services: FakeServices, issuer: TokenIssuer
) -> None:
    query, form, header = (issuer.issue(user_id) for user_id in (1, 2, 3))
    bearer = {"Authorization": f"Bearer {header}"}

    await publish(client, fields_of(form).items(), params={"token": query}, headers=bearer)
    await publish(client, fields_of(form).items(), headers=bearer)
    await publish(client, fields_of().items(), headers=bearer)

    assert [request.token for request in services.requests["PublishAction"]] == [
        query,
        form,
        header,
    ]
    refused = await publish(client, fields_of("junk").items(), headers=bearer)
    assert_envelope(refused, errors.Unauthenticated)


async def test_a_bad_token_of_the_query_is_refused_before_the_body(
    gateway: RunningGateway, services: FakeServices
) -> None:
    reply = await send_beginning(gateway.port, f"{PATH}?token=junk", b"")

    assert reply.startswith(b"HTTP/1.1 401")
    assert services.requests["PublishAction"] == []


async def test_a_bad_token_of_the_form_is_refused_as_soon_as_it_is_there(
    gateway: RunningGateway,
) -> None:
    beginning = make_form([("token", b"junk"), ("data", b"x" * 1000)], end=False)

    assert (await send_beginning(gateway.port, PATH, beginning)).startswith(b"HTTP/1.1 401")


async def test_no_token_at_all_is_401(client: httpx.AsyncClient) -> None:
    assert_envelope(await publish(client, fields_of().items()), errors.Unauthenticated)


async def test_a_declared_length_over_the_limit_is_413_at_once(
    gateway: RunningGateway, token: str
) -> None:
    reply = await send_beginning(gateway.port, f"{PATH}?token={token}", b"", length=60_000_000)

    assert reply.startswith(b"HTTP/1.1 413")
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["status_code"] == 10006


async def test_the_limit_is_enforced_while_the_body_arrives(
    start_gateway: StartGateway, services: FakeServices, token: str
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield make_form([("title", b"t")]).removesuffix(f"--{BOUNDARY}--\r\n".encode())
        yield make_form([("data", b"")], end=False).removesuffix(b"\r\n")
        for _ in range(3000):
            sent += 10_000
            yield b"x" * 10_000

    async with start_gateway(max_upload_mb=1) as gateway:
        client = gateway.client
        response = await client.post(
            PATH, params={"token": token}, content=endless(), headers=HEADERS
        )
        exact = await publish(client, fields_of(token, data=b"x" * 2**20).items())
        over = await publish(client, fields_of(token, data=b"x" * (2**20 + 1)).items())

    assert_envelope(response, errors.PayloadTooLarge)
    assert exact.json()["status_code"] == 0
    assert_envelope(over, errors.PayloadTooLarge)
    assert len(services.uploads) == 1


async def test_60_mb_through_a_client_that_writes_first_and_reads_then_is_413(
    client: httpx.AsyncClient, token: str
) -> None:
    response = await publish(client, fields_of(token, data=b"x" * 60_000_000).items())

    assert_envelope(response, errors.PayloadTooLarge)


GOOD = {"title": "熊".encode(), "data": b"v"}
BROKEN_FORMS = {
    "no end": make_form(GOOD.items(), end=False),
    "cut": make_form(GOOD.items())[:-20],
    "empty body": b"",
    "no form": b"hello",
    "no title": make_form([("data", b"v")]),
    "no data": make_form([("title", b"t")]),
    "empty title": make_form((GOOD | {"title": b""}).items()),
    "empty data": make_form((GOOD | {"data": b""}).items()),
    "two titles": make_form([*GOOD.items(), ("title", b"t")]),
    "two videos": make_form([*GOOD.items(), ("data", b"w")]),
    "two tokens": make_form([("token", b"t"), *GOOD.items(), ("token", b"t")]),
    "no utf-8": make_form((GOOD | {"title": b"\xff\xfe"}).items()),
    "many parts": make_form([(f"p{i}", b"") for i in range(99)] + list(GOOD.items())),
}


@pytest.mark.parametrize("body", BROKEN_FORMS.values(), ids=BROKEN_FORMS.keys())
async def test_a_broken_form_is_a_business_error(
    client: httpx.AsyncClient, services: FakeServices, token: str, body: bytes
) -> None:
    reply = await publish(client, body, params={"token": token})

    assert_envelope(reply, errors.InvalidParameter)
    assert services.requests["PublishAction"] == []


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary="]
)
async def test_what_is_not_declared_as_a_form_is_a_business_error(
    client: httpx.AsyncClient, services: FakeServices, token: str, content_type: str
) -> None:
    whole = make_form(fields_of(token, data=b"v").items())

    reply = await publish(client, whole, headers={"Content-Type": content_type})

    assert_envelope(reply, errors.InvalidParameter)
    assert services.requests["PublishAction"] == []


async def test_long_texts_are_413(client: httpx.AsyncClient, token: str) -> None:
    response = await publish(client, fields_of(token, title="长" * 30_000).items())

    assert_envelope(response, errors.PayloadTooLarge)


async def test_an_upload_that_pauses_is_given_up(start_gateway: StartGateway, token: str) -> None:
    async with start_gateway(upload_idle_timeout_s=0.2) as gateway:
        reply = await send_beginning(
            gateway.port, PATH, make_form(fields_of(token).items(), end=False)
        )

    assert reply.startswith(b"HTTP/1.1 503")


async def test_parallel_uploads_are_bounded_and_slots_come_back(
    start_gateway: StartGateway, services: FakeServices, token: str
) -> None:
    release = asyncio.Event()

    async def wait(_: object) -> PublishActionReply:
        await release.wait()
        return PublishActionReply(video_id=1)

    services.answers["PublishAction"] = wait
    async with start_gateway(max_parallel_uploads=1) as gateway:
        first = asyncio.create_task(publish(gateway.client, fields_of(token).items()))
        await eventually(lambda: services.uploads, interval_s=0.01)
        second = await publish(gateway.client, fields_of(token).items())
        release.set()
        assert (await first).json()["video_id"] == 1
        third = await publish(gateway.client, fields_of(token).items())

    assert_envelope(second, errors.RateLimited)
    assert third.json()["status_code"] == 0


async def test_a_service_that_hangs_is_503_before_the_app_gives_up(
    start_gateway: StartGateway, services: FakeServices, token: str
) -> None:
    async def hang(_: object) -> PublishActionReply:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    services.answers["PublishAction"] = hang
    async with start_gateway(upload_timeout_s=0.3) as gateway:
        began = time.monotonic()
        response = await publish(gateway.client, fields_of(token).items())

    assert_envelope(response, errors.DeadlineExceeded)
    assert time.monotonic() - began < 2


async def test_what_the_service_refuses_in_the_middle_is_its_error(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    services.answers["PublishAction"] = errors.UnsupportedVideo()

    assert_envelope(await publish(client, fields_of(token).items()), errors.UnsupportedVideo)


async def test_a_service_that_is_down_is_told_before_the_upload(
    start_gateway: StartGateway, token: str
) -> None:
    async with start_gateway(reachable=False) as gateway:
        reply = await send_beginning(gateway.port, f"{PATH}?token={token}", b"")

    assert reply.startswith(b"HTTP/1.1 503")


async def test_a_client_that_leaves_frees_its_slot_and_file(
    start_gateway: StartGateway, services: FakeServices, token: str, tmp_path: Path
) -> None:
    async with start_gateway(max_parallel_uploads=1) as gateway:
        beginning = make_form(fields_of(token).items(), end=False)
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request_head(PATH, 2_000_000) + beginning)
        await writer.drain()
        await eventually(lambda: open_spool_files(tmp_path), within_s=5, interval_s=0.01)
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - a look, not a walk
        writer.close()
        await eventually(lambda: not open_spool_files(tmp_path), within_s=5, interval_s=0.01)
        response = await publish(gateway.client, fields_of(token).items())

    assert response.json()["status_code"] == 0
    assert len(services.uploads) == 1


async def test_memory_does_not_grow_with_the_upload(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    async def large() -> AsyncIterator[bytes]:
        yield make_form([("token", token.encode()), ("title", b"t")], end=False)
        yield make_form([("data", b"")], end=False).removesuffix(b"\r\n")
        for _ in range(450):
            yield b"v" * 100_000
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    await publish(client, fields_of(token).items())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    response = await client.post(PATH, content=large(), headers=HEADERS)

    assert response.json()["status_code"] == 0
    assert sum(services.uploads[-1][0]) == 45_000_000
    # Client and service run in this process too.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


async def test_a_spool_that_cannot_be_written_is_503(
    start_gateway: StartGateway, token: str, tmp_path: Path
) -> None:
    no_folder = tmp_path / "occupied"
    no_folder.write_bytes(b"")
    async with start_gateway(spool_dir=no_folder) as gateway:
        response = await publish(gateway.client, fields_of(token).items())

    assert_envelope(response, errors.DependencyUnavailable)
    assert "occupied" not in response.text


def open_spool_files(directory: Path) -> list[str]:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue
    return [link for link in links if link.startswith(str(directory) + os.sep)]
