"""Upload forms, byte by byte, and clients that send them whole, in part or without an end."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import httpx

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
