"""A gateway that is told to stop loses no request: not of those that run, nor of those that are on their way."""

import asyncio

from tests.eventually import eventually
from tests.gateway.conftest import RunningGateway
from tests.gateway.raw_http import read_reply

PROBE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


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


async def test_a_request_that_comes_in_an_idle_connection_is_answered_as_its_last(
    gateway: RunningGateway,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(PROBE)
    first = await read_reply(reader)

    await stop(gateway)
    writer.write(PROBE)
    last = await read_reply(reader)

    assert first.startswith(b"HTTP/1.1 200")
    assert b"connection: close" not in first
    assert last.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in last
    assert await reader.read() == b""
    writer.close()
