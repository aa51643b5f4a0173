"""What one network holds at the open port, others can use: connections, heads that never end, uploads of strangers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from tests.eventually import eventually
from tests.system.app import App
from tests.system.system import System

# As config/nginx/site.conf.template says.
REQUESTS_PER_NETWORK = 512
HEAD_WITHIN_S = 10
STRANGER = b"POST /douyin/publish/action/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n"
STRANGER += b"Content-Type: multipart/form-data; boundary=b\r\n\r\n-"
UNFINISHED = b"POST /douyin/user/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx"


@asynccontextmanager
async def connected(
    system: System, address: str, beginning: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to nginx from an address of this machine, and say something."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", system.port("nginx"), local_addr=(address, 0)
    )
    writer.write(beginning)
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.close()


async def get_from(system: System, address: str, path: str = "healthz") -> httpx.Response:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(transport=transport, timeout=10) as client:
        return await client.get(system.base_url + path)


async def test_one_network_holds_a_quarter_of_the_requests_that_nginx_serves_at_once(
    system: System,
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(REQUESTS_PER_NETWORK):
            await stack.enter_async_context(connected(system, "127.0.0.2", UNFINISHED))

        async def is_full() -> bool:
            return (await get_from(system, "127.0.0.2")).status_code == 429

        await eventually(is_full, within_s=10)
        refused = await get_from(system, "127.0.0.2")
        elsewhere = await get_from(system, "127.0.0.3")

    assert refused.json()["status_code"] == 10008
    assert refused.headers["Retry-After"]
    assert elsewhere.status_code == 200


async def test_a_head_that_does_not_end_is_cut_off(system: System) -> None:
    async with connected(system, "127.0.0.2", b"GET / HTTP/1.1\r\n") as (reader, writer):

        async def trickle() -> None:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(1)  # Slow, and never idle for long.

        trickling = asyncio.create_task(trickle())
        try:
            async with asyncio.timeout(HEAD_WITHIN_S + 10):
                assert await reader.read() == b""
        finally:
            trickling.cancel()
            await asyncio.gather(trickling, return_exceptions=True)


async def test_four_networks_full_of_strangers_keep_nobody_from_publishing(
    system: System, author: App, small_video: Path
) -> None:
    async with AsyncExitStack() as stack:
        replies = []
        for number in range(32):
            stranger = connected(system, f"127.0.0.{10 + number % 4}", STRANGER)
            reader, _ = await stack.enter_async_context(stranger)
            replies.append(asyncio.ensure_future(reader.readline()))

        async def the_others_hold_all_that_they_can_get() -> bool:
            return sum(reply.done() for reply in replies) == 16

        await eventually(the_others_hold_all_that_they_can_get, within_s=15)
        heads = [reply.result() for reply in replies if reply.done()]
        video_id = await author.publish(small_video, "with strangers")

    assert {head.split()[1] for head in heads} == {b"429"}
    assert video_id
