"""nginx with the product's templates, in front of a gateway and of a storage that says what a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from pkg.settings import DEFAULT_CONFIG_DIR
from scripts.stack.files import get_command, render
from tests.eventually import eventually

NGINX_DIR = DEFAULT_CONFIG_DIR / "nginx"


class Storage:
    """Answers every request with the bytes in `reply` and closes; keeps the heads that came."""

    def __init__(self) -> None:
        self.reply = b""
        self.heads: list[bytes] = []

    def says(self, status: str, body: bytes = b"", *headers: str) -> None:
        """Set what is answered from now on."""
        lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
        self.reply = "\r\n".join(lines).encode() + body

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.reply)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def open_door(
    folder: Path, *, port: int, gateway_port: int, storage: Storage
) -> AsyncIterator[None]:
    """Run nginx on `port` until the block ends."""
    (folder / "temp").mkdir()
    server = await asyncio.start_server(storage.answer, "127.0.0.1", 0)
    values = {
        "NGINX_DIR": folder,
        "NGINX_LISTEN": f"listen 127.0.0.1:{port};",
        "NGINX_MAX_BODY_MB": 2,
        "NGINX_UPLOAD_TIMEOUT_S": 5,
        "NGINX_BEHIND": "listed.conf",
        "NGINX_GATEWAYS": f"server 127.0.0.1:{gateway_port} max_fails=0;",
        "NGINX_GATEWAY": f"127.0.0.1:{gateway_port}",
        "NGINX_RESOLVER": "127.0.0.1",
        "NGINX_DOCS": "on",
        "NGINX_HSTS": "",
        "NGINX_TRUSTED_PROXY": "unix:",
        "NGINX_TLS_CERTIFICATE": "",
        "NGINX_TLS_KEY": "",
        "NGINX_STORAGE": f"127.0.0.1:{server.sockets[0].getsockname()[1]}",
    }
    for template in NGINX_DIR.glob("*.template"):
        (folder / template.name.removesuffix(".template")).write_text(render(template, values))
    nginx = await asyncio.create_subprocess_exec(
        get_command("nginx"), "-p", f"{folder}/", "-c", f"{folder}/nginx.conf", "-e", "stderr"
    )
    try:
        await eventually(lambda: _listens(port), within_s=10)
        yield
    finally:
        nginx.terminate()
        await nginx.wait()
        server.close()


async def _listens(port: int) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"http://127.0.0.1:{port}/")
    return True
