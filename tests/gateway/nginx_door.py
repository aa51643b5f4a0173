"""nginx with the product's templates, in front of a gateway and of a storage that says what a test wants."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from pkg.settings import DEFAULT_CONFIG_DIR
from scripts.stack.files import get_command, render
from scripts.stack.plain_http import NO_CERTIFICATES
from scripts.stack.servers.nginx import name_gateways
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
    folder: Path, *, port: int, gateway_ports: Sequence[int], storage: Storage, **values: object
) -> AsyncIterator[None]:
    """Run nginx on `port` until the block ends; `values` of its templates win over those of this test."""
    (folder / "temp").mkdir()
    server = await asyncio.start_server(storage.answer, "127.0.0.1", 0)
    given = {
        "NGINX_DIR": folder,
        "NGINX_LISTEN": f"listen 127.0.0.1:{port};",
        "NGINX_MAX_BODY_MB": 2,
        "NGINX_UPLOAD_TIMEOUT_S": 5,
        "NGINX_USER": "user root;" if os.geteuid() == 0 else "",
        "NGINX_GATEWAYS": name_gateways([f"127.0.0.1:{port}" for port in gateway_ports]),
        "NGINX_STORAGE_SCHEME": "http",
        "NGINX_STORAGE_TLS": "",
        "NGINX_BEHIND": "listed.conf",
        "NGINX_DOCS": "on",
        "NGINX_HSTS": "",
        "NGINX_TRUSTED_PROXY": "unix:",
        "NGINX_TLS_CERTIFICATE": "",
        "NGINX_TLS_KEY": "",
        "NGINX_GATEWAY": "gateway:8089",
        "NGINX_RESOLVER": "127.0.0.1",
        "NGINX_STORAGE": f"127.0.0.1:{server.sockets[0].getsockname()[1]}",
    }
    for template in NGINX_DIR.glob("*.template"):
        (folder / template.name.removesuffix(".template")).write_text(
            render(template, given | values)
        )
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


def open_client(port: int) -> httpx.AsyncClient:
    """Return what speaks HTTP with the nginx on a port of this machine."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=NO_CERTIFICATES
    )


async def _listens(port: int) -> bool:
    async with open_client(port) as client:
        # nginx answers this itself, whatever stands behind it.
        await client.get("/nothing")
    return True
