"""Publishing: what the gateway does with an upload until the video service has it."""

import asyncio
import json
import os
import random
import resource
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from pkg import errors
from pkg.token import TokenIssuer
from protos.video_pb2 import PublishActionReply
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.fakes import FakeServices

PATH = "/douyin/publish/action/"
BOUNDARY = "----app-7MA4YWxkTrZu0gW"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
VIDEO = random.Random(1).randbytes(1_300_000)
Fields = Iterable[tuple[str, bytes]]


def make_form(fields: Fields, *, end: bool = True) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        + (b'; filename="bear.mp4"\r\nContent-Type: video/mp4' if name == "data" else b"")
        + b"\r\n\r\n"
        + value
        + b"\r\n"
        for name, value in fields
    ]
    return b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def fields_of(token: str = "", *, title: str = "熊", data: bytes = VIDEO) -> dict[str, bytes]:
    fields = {"title": title.encode(), "data": data}
    return {"token": token.encode()} | fields if token else fields


async def publish(client: httpx.AsyncClient, body: bytes | Fields, **kwargs: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else make_form(body)
    return await client.post(
        PATH, content=content, headers=HEADERS | kwargs.pop("headers", {}), **kwargs
    )


def assert_error(response: httpx.Response, error: type[errors.DomainError]) -> None:
    assert (response.json()["status_code"], response.status_code) == (
        error.status_code,
        error.http_status,
    )


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
    assert_error(refused, errors.Unauthenticated)


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
    assert_error(await publish(client, fields_of().items()), errors.Unauthenticated)


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

    assert_error(response, errors.PayloadTooLarge)
    assert exact.json()["status_code"] == 0
    assert_error(over, errors.PayloadTooLarge)
    assert len(services.uploads) == 1


async def test_60_mb_through_a_client_that_writes_first_and_reads_then_is_413(
    client: httpx.AsyncClient, token: str
) -> None:
    response = await publish(client, fields_of(token, data=b"x" * 60_000_000).items())

    assert_error(response, errors.PayloadTooLarge)


async def test_broken_forms_are_business_errors(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    good = fields_of(token, data=b"v")
    whole = make_form(good.items())
    broken = {
        "no end": make_form(good.items(), end=False),
        "cut": whole[:-20],
        "empty body": b"",
        "no form": b"hello",
        "no title": make_form([("token", token.encode()), ("data", b"v")]),
        "no data": make_form([("token", token.encode()), ("title", b"t")]),
        "empty title": make_form((good | {"title": b""}).items()),
        "empty data": make_form((good | {"data": b""}).items()),
        "two titles": make_form([*good.items(), ("title", b"t")]),
        "two videos": make_form([*good.items(), ("data", b"w")]),
        "two tokens": make_form([*good.items(), ("token", b"t")]),
        "no utf-8": make_form((good | {"title": b"\xff\xfe"}).items()),
        "many parts": make_form([(f"p{i}", b"") for i in range(99)] + list(good.items())),
    }
    for name, body in broken.items():
        response = await publish(client, body)
        assert response.json()["status_code"] == errors.InvalidParameter.status_code, name
        assert response.status_code == 200, name
    for content_type in ("", "text/plain", "multipart/form-data", "multipart/form-data; boundary="):
        reply = await publish(client, whole, headers={"Content-Type": content_type})
        assert_error(reply, errors.InvalidParameter)
    assert services.requests["PublishAction"] == []


async def test_long_texts_are_413(client: httpx.AsyncClient, token: str) -> None:
    response = await publish(client, fields_of(token, title="长" * 30_000).items())

    assert_error(response, errors.PayloadTooLarge)


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
        while not services.uploads:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.01)
        second = await publish(gateway.client, fields_of(token).items())
        release.set()
        assert (await first).json()["video_id"] == 1
        third = await publish(gateway.client, fields_of(token).items())

    assert_error(second, errors.RateLimited)
    assert third.json()["status_code"] == 0


async def test_what_the_service_refuses_in_the_middle_is_its_error(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    services.answers["PublishAction"] = errors.UnsupportedVideo()

    assert_error(await publish(client, fields_of(token).items()), errors.UnsupportedVideo)


async def test_a_service_that_is_away_is_told_before_the_upload(
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
        async with asyncio.timeout(5):
            while not open_spool_files(tmp_path):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - a look, not a walk
        writer.close()
        async with asyncio.timeout(5):
            while open_spool_files(tmp_path):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
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

    assert_error(response, errors.DependencyUnavailable)
    assert "occupied" not in response.text


def open_spool_files(directory: Path) -> list[str]:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue
    return [link for link in links if link.startswith(str(directory) + os.sep)]


def request_head(path: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"
        f"Content-Type: {HEADERS['Content-Type']}\r\n\r\n"
    ).encode()


async def send_beginning(port: int, path: str, body: bytes, length: int = 2_000_000) -> bytes:
    """Send a request whose body never ends, and return the whole reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_head(path, length) + body)
    await writer.drain()
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        body = await reader.readexactly(size)
    writer.close()
    return head + body


pytestmark = pytest.mark.timeout(60)
