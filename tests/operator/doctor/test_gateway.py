"""What the doctor makes of an nginx whose gateway hangs, where nobody but nginx knows the gateway."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from scripts.operator.doctor import gateway
from scripts.operator.doctor.target import Target
from tests.operator.doctor.conftest import bare_target

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def nginx_alone() -> AsyncIterator[Target]:
    """An nginx that answers what it answers by itself, and keeps everybody else waiting."""
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if request.startswith(b"GET /media/ "):
            writer.write(NOT_FOUND)
            await writer.drain()
        else:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield replace(bare_target(), url=f"http://127.0.0.1:{port}", answer_s=0.5)
    finally:
        over.set()
        server.close()
        await server.wait_closed()


async def test_where_the_gateway_hangs_nginx_is_well_and_the_gateway_is_named(nginx_alone: Target):
    patient = replace(nginx_alone, answer_s=10)

    assert await gateway.look_at_nginx(patient) == []
    (finding,) = await gateway.look_at_readiness(nginx_alone)

    assert (finding.subject, finding.what) == ("gateway", "does not answer")
