"""Bytes as they are, for requests that no HTTP client would send."""

import asyncio


async def raw_request(port: int, data: bytes) -> bytes:
    """Send bytes as they are and return what comes back until the other side is silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    reply = b""
    try:
        async with asyncio.timeout(5):
            while not reply.endswith(b"}"):
                piece = await reader.read(65536)
                if not piece:
                    break
                reply += piece
    finally:
        writer.close()
    return reply
