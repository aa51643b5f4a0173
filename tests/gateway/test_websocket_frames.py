"""Handshakes and frames that break the protocol: refused in our words, told in one line of the log."""

import asyncio
import base64
import json
import logging
from collections.abc import Iterator

import pytest
from loguru import logger

from pkg import errors
from pkg.log import _LoguruHandler
from tests.eventually import eventually
from tests.gateway.conftest import RunningGateway
from tests.gateway.fakes import FakeServices
from tests.gateway.raw_http import raw_request

KEY = base64.b64encode(b"0" * 16).decode()
MASK = b"\0\0\0\0"
BROKEN_FRAMES = {
    "text that is not UTF-8": (b"\x81\x82" + MASK + b"\xff\xfe", 1007),
    "half a character in two frames": (b"\x01\x81" + MASK + b"\xe4\x80\x80" + MASK, 1007),
    "no mask": (b"\x81\x02hi", 1002),
    "an unknown opcode": (b"\x83\x80" + MASK, 1002),
    "a reserved bit": (b"\xb1\x80" + MASK, 1002),
    "a ping too long": (b"\x89\xfe\x00\x80" + MASK + b"x" * 128, 1002),
    "a continuation of nothing": (b"\x80\x80" + MASK, 1002),
    "a bad close code": (b"\x88\x82" + MASK + b"\x00\x01", 1002),
    "a close of one byte": (b"\x88\x81" + MASK + b"\x03", 1002),
    "a frame too long": (b"\x82\xff" + b"\0\0\0\0\0\1\0\0" + MASK, 1009),
}


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Collect what the gateway and its libraries log from here on, as its process would write it."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}\n{exception}")
    handler = _LoguruHandler()
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)
    logger.remove(sink)


def handshake(token: str, **changes: str) -> bytes:
    headers = {
        "Host": "a",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    } | changes
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    return f"GET /douyin/message/ws?to_user_id=5&token={token} HTTP/1.1\r\n{lines}\r\n".encode()


@pytest.mark.parametrize(("frame", "code"), BROKEN_FRAMES.values(), ids=BROKEN_FRAMES.keys())
async def test_a_broken_frame_closes_the_socket_and_is_one_line_of_the_log(  # noqa: PLR0917
    gateway: RunningGateway,
    services: FakeServices,
    token: str,
    logged: list[str],
    frame: bytes,
    code: int,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    async with asyncio.timeout(10):
        writer.write(handshake(token))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        await eventually(lambda: services.requests["MessageStream"])
        writer.write(frame)
        close = await reader.read()
        await services.push_ended.wait()
    writer.close()
    await eventually(lambda: any("request served" in line for line in logged))

    assert close[0] == 0x88
    assert int.from_bytes(close[2:4]) == code
    assert not [line for line in logged if "Traceback" in line or line.startswith("ERROR")]
    assert len([line for line in logged if "websocket closed after a broken frame" in line]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Version": ""},
        {"X-Long": "y" * 9_000},
    ],
    ids=["no key", "a bad key", "an old version", "no version", "a long header"],
)
async def test_a_handshake_that_is_none_is_refused_in_the_envelope(
    gateway: RunningGateway, token: str, logged: list[str], changes: dict[str, str]
) -> None:
    head, _, body = (await raw_request(gateway.port, handshake(token, **changes))).partition(
        b"\r\n\r\n"
    )

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(body)["status_code"] == errors.InvalidParameter.status_code
    assert b"cache-control: no-store" in head.lower()
    assert not [line for line in logged if "Traceback" in line or line.startswith("ERROR")]


async def test_a_handshake_that_an_endpoint_refuses_is_no_error_of_the_log(
    gateway: RunningGateway, logged: list[str]
) -> None:
    for token in ("", "junk"):
        reply = await raw_request(gateway.port, handshake(token))

        assert reply.startswith(b"HTTP/1.1 401")
    # A line of the test before may come late.
    await eventually(lambda: "".join(logged).count("status=401") >= 2)

    assert not [line for line in logged if "Traceback" in line or line.startswith("ERROR")]


async def test_a_handshake_behind_another_request_waits_for_its_reply(
    gateway: RunningGateway, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.DRAIN_S", 0.2)
    feed = b"GET /douyin/feed/ HTTP/1.1\r\nHost: a\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    async with asyncio.timeout(10):
        writer.write(feed + handshake(token))
        replies = await reader.read()
    writer.close()

    assert replies.count(b"HTTP/1.1 200 OK") == 2
    assert replies.index(b'"status_code":0') < replies.index(b'"status_code":10001')
