"""Requests behind each other on one connection: replies come in their order, refusals in their turn."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from protos.video_pb2 import FeedReply
from tests.gateway.conftest import RunningGateway
from tests.gateway.fakes import FakeServices

FEED = b"GET /douyin/feed/?latest_time=1700000000 HTTP/1.1\r\nHost: a\r\n\r\n"
UNKNOWN = b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n"
LOGIN = (
    b"POST /douyin/user/login/ HTTP/1.1\r\nHost: a\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)
RUBBISH = b"\x16\x03\x01rubbish\r\n\r\n"
CODES = re.compile(rb'"status_code":(\d+)')


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a refused client go sooner than the two seconds that it has to read the reply."""
    monkeypatch.setattr("gateway.server.DRAIN_S", 0.2)


@pytest.fixture
async def slow_feed(services: FakeServices) -> None:
    """Make the feed slower than what follows it."""

    async def answer(_: object) -> FeedReply:
        await asyncio.sleep(0.2)  # The slowness is what is tested.
        return FeedReply(next_time=1)

    services.answers["Feed"] = answer


@asynccontextmanager
async def connection(
    gateway: RunningGateway,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(gateway: RunningGateway, *packets: bytes) -> list[int]:
    """Send packets and return the status codes of all replies until the server closes."""
    async with connection(gateway) as (reader, writer), asyncio.timeout(10):
        for packet in packets:
            writer.write(packet)
            await writer.drain()
        return [int(code) for code in CODES.findall(await reader.read())]


@pytest.mark.usefixtures("slow_feed")
@pytest.mark.parametrize(
    ("packet", "codes"),
    [
        (FEED + RUBBISH, [0, 10001]),
        (FEED + FEED + RUBBISH, [0, 0, 10001]),
        (FEED + UNKNOWN + RUBBISH, [0, 10004, 10001]),
        (FEED + b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" + FEED, [0, 10001]),
        (FEED + b"GET /" + b"x" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", [0, 10007]),
        (FEED + FEED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + RUBBISH, [0, 0]),
        (UNKNOWN + RUBBISH, [10004, 10001]),
        (RUBBISH, [10001]),
    ],
    ids=["one", "two", "a refused one", "a space", "a long line", "closed", "a fast one", "alone"],
)
async def test_what_came_before_rubbish_gets_its_reply_first(
    gateway: RunningGateway, packet: bytes, codes: list[int]
) -> None:
    assert await ask(gateway, packet) == codes


@pytest.mark.usefixtures("slow_feed")
async def test_a_body_that_breaks_off_refuses_its_own_request_alone(
    gateway: RunningGateway, services: FakeServices
) -> None:
    broken = LOGIN + b"Transfer-Encoding: chunked\r\n\r\n4\r\nuser\r\nzz\r\n"

    assert await ask(gateway, broken) == [10001]
    assert await ask(gateway, FEED + broken) == [0, 10001]
    assert services.requests["Login"] == []


async def test_nothing_is_added_to_a_reply_that_came_before_the_body_broke(
    gateway: RunningGateway,
) -> None:
    head = LOGIN + b"Transfer-Encoding: chunked\r\n\r\n"
    async with connection(gateway) as (reader, writer), asyncio.timeout(10):
        writer.write(head + b"%x\r\n" % 70_000 + b"x" * 70_000 + b"\r\n")
        first = await reader.readuntil(b"}")
        writer.write(b"zz\r\n")
        await writer.drain()
        rest = await reader.read()

    assert first.startswith(b"HTTP/1.1 413")
    assert rest == b""


@pytest.mark.usefixtures("slow_feed")
async def test_chunks_trailers_bare_line_feeds_and_expectations_are_understood(
    gateway: RunningGateway, services: FakeServices
) -> None:
    chunked = (
        LOGIN + b"Connection: close\r\nTransfer-Encoding: chunked\r\nExpect: 100-Continue\r\n\r\n"
        b"a;x=1\r\nusername=a\r\nb\r\n&password=b\r\n0\r\nX-Sum: 1\r\n\r\n"
    )

    assert await ask(gateway, FEED + chunked) == [0, 0]
    assert (services.last("Login").username, services.last("Login").password) == ("a", "b")


async def test_an_upgrade_that_nobody_offers_is_ignored(gateway: RunningGateway) -> None:
    upgrade = FEED.replace(
        b"\r\n\r\n", b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    )

    assert await ask(gateway, upgrade) == [0]
