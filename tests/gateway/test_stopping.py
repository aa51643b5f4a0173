"""A gateway that is told to stop loses no request: neither those that run nor those that are on their way."""

import asyncio
import socket
from asyncio import StreamReader

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway import server
from pkg.errors import DependencyUnavailable
from tests.eventually import eventually
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.fakes import FakeServices
from tests.gateway.upload_forms import PATH, fields_of, make_form, request_head, send_beginning

PROBE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


async def read_reply(reader: StreamReader) -> bytes:
    """Return the next reply of a connection, head and body."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
        return head + await reader.readexactly(length)


async def stop(gateway: RunningGateway) -> None:
    """Tell a gateway to stop and wait until it does not listen any more."""
    gateway.server.should_exit = True

    async def refuses() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    await eventually(refuses, within_s=10, interval_s=0.01)


async def test_a_request_in_a_connection_that_was_idle_is_answered_as_its_last(
    gateway: RunningGateway,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(PROBE)
    first = await read_reply(reader)

    await stop(gateway)
    writer.write(PROBE)
    last = await read_reply(reader)

    assert b"connection: close" not in first
    assert last.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in last
    assert await reader.read() == b""
    writer.close()


async def test_a_connection_that_stays_idle_is_closed(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LEAVING_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(PROBE)
    await read_reply(reader)

    await stop(gateway)

    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_a_connection_that_was_not_taken_yet_is_served(gateway: RunningGateway) -> None:
    # The event loop does not run between these lines: it has not seen the connection when it is told to stop.
    with socket.create_connection(("127.0.0.1", gateway.port)) as early:
        early.sendall(PROBE)
        stopping = asyncio.create_task(gateway.server.shutdown())
        reader, writer = await asyncio.open_connection(sock=early.dup())

        reply = await read_reply(reader)

    assert reply.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in reply
    writer.close()
    await stopping


async def test_an_upload_that_takes_longer_than_the_gateway_waits_is_503(
    start_gateway: StartGateway, token: str
) -> None:
    async with start_gateway(stop_grace_s=1) as gateway:
        beginning = make_form(fields_of(token).items(), end=False)
        upload = asyncio.create_task(send_beginning(gateway.port, PATH, beginning))
        await eventually(lambda: gateway.app.state.gateway.slots.uploads.of_users.taken)
        await stop(gateway)

        reply = await upload

    assert reply.startswith(b"HTTP/1.1 503")
    assert f'"status_code":{DependencyUnavailable.status_code}'.encode() in reply
    assert b"retry-after: 1" in reply.lower()


async def test_an_upload_that_ends_in_time_is_accepted(gateway: RunningGateway, token: str) -> None:
    body = make_form(fields_of(token).items())
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request_head(PATH, len(body)) + body[:1000])
    await eventually(lambda: gateway.server.server_state.tasks)
    await stop(gateway)

    writer.write(body[1000:])
    reply = await read_reply(reader)

    assert reply.startswith(b"HTTP/1.1 200")
    assert b'"video_id":7' in reply
    writer.close()


async def test_a_websocket_is_told_to_come_again(
    gateway: RunningGateway, services: FakeServices, token: str
) -> None:
    url = f"ws://127.0.0.1:{gateway.port}/douyin/message/ws?token={token}&to_user_id=5"
    async with connect(url) as push:
        gateway.server.should_exit = True

        with pytest.raises(ConnectionClosed) as closed:
            await push.recv()

    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1012
    await eventually(services.push_ended.is_set)
