"""What an operator chooses of nginx: HTTPS, HSTS, the documentation, a proxy in front, names instead of addresses."""

import asyncio
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.stack.ports import find_free_port_base
from tests.gateway.conftest import RunningGateway
from tests.gateway.nginx_door import Storage, open_client, open_door

# nginx is a server of the machine, like MySQL.
pytestmark = pytest.mark.servers

VIDEO = "/media/tiktok-videos/a/b.mp4"
HSTS = "strict-transport-security"


@asynccontextmanager
async def opened(
    folder: Path, gateway: RunningGateway, **values: object
) -> AsyncIterator[tuple[int, Storage]]:
    """Give nginx's port, and the storage behind it."""
    port, storage = find_free_port_base(), Storage()
    storage.says("200 OK", b"bytes")
    place = folder / "nginx"
    place.mkdir()
    async with open_door(place, port=port, gateway_ports=[gateway.port], storage=storage, **values):
        yield port, storage


async def get(url: str, **options: object) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501 - its own pair
        return await client.get(url, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The values that switch HTTPS on, with the pair that set-up makes for trying; `{port}` is still open."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return {"NGINX_TLS_CERTIFICATE": certificate, "NGINX_TLS_KEY": key}


def listen(https: int, http: int) -> str:
    return f"listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl http2; include tls.conf;"


@asynccontextmanager
async def encrypted(
    folder: Path, gateway: RunningGateway, pair: dict[str, object], **values: object
) -> AsyncIterator[tuple[int, int, Storage]]:
    """Give nginx's ports for HTTPS and HTTP."""
    base = find_free_port_base()
    https, http = base, base + 1
    storage, place = Storage(), folder / "nginx"
    storage.says("200 OK", b"bytes")
    place.mkdir()
    async with open_door(
        place,
        port=http,
        gateway_ports=[gateway.port],
        storage=storage,
        NGINX_LISTEN=listen(https, http),
        **pair,
        **values,
    ):
        yield https, http, storage


async def test_https_speaks_http2_over_tls_of_today(
    gateway: RunningGateway, tmp_path: Path, pair: dict[str, object]
) -> None:
    async with encrypted(tmp_path, gateway, pair) as (https, _, _):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.minimum_version = context.maximum_version = version
            _, writer = await asyncio.open_connection("127.0.0.1", https, ssl=context)
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            writer.close()

        assert (await get(f"https://127.0.0.1:{https}/healthz")).status_code == 200


async def test_https_refuses_tls_of_yesterday(
    gateway: RunningGateway, tmp_path: Path, pair: dict[str, object]
) -> None:
    async with encrypted(tmp_path, gateway, pair) as (https, _, _):
        done = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", f"127.0.0.1:{https}"),
            *("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await done.communicate()

        assert b"alert protocol version" in said


async def test_every_reply_over_https_and_no_other_carries_the_hsts_that_was_chosen(
    gateway: RunningGateway, tmp_path: Path, pair: dict[str, object]
) -> None:
    chosen = "max-age=31536000"
    async with encrypted(tmp_path, gateway, pair, NGINX_HSTS=chosen) as (https, http, _):
        for path in ("/healthz", VIDEO, "/no/such/page"):
            assert (await get(f"https://127.0.0.1:{https}{path}")).headers[HSTS] == chosen, path
            assert HSTS not in (await get(f"http://127.0.0.1:{http}{path}")).headers, path


async def test_a_closed_documentation_is_no_page_at_all(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    async with opened(tmp_path, gateway, NGINX_DOCS="off") as (port, _):
        for path in ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css"):
            assert (await get(f"http://127.0.0.1:{port}{path}")).status_code == 404, path
        assert (await get(f"http://127.0.0.1:{port}/healthz")).status_code == 200


async def test_metrics_are_never_public(gateway: RunningGateway, tmp_path: Path) -> None:
    async with opened(tmp_path, gateway) as (port, _):
        assert (await get(f"http://127.0.0.1:{port}/metrics")).status_code == 404


async def test_json_is_compressed_for_who_takes_it(gateway: RunningGateway, tmp_path: Path) -> None:
    async with opened(tmp_path, gateway) as (port, _):
        url = f"http://127.0.0.1:{port}/openapi.json"
        packed = await get(url, headers={"Accept-Encoding": "gzip"})
        plain = await get(url, headers={"Accept-Encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


async def test_the_web_client_comes_through_with_the_headers_and_coding_of_the_gateway(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    async with opened(tmp_path, gateway) as (port, _):
        url = f"http://127.0.0.1:{port}/"
        page = await get(url, headers={"Accept-Encoding": "gzip"})
        again = await get(url, headers={"If-None-Match": page.headers["etag"]})
        missing = await get(f"{url}web/nope.js")

    assert page.text.startswith("<!doctype html>")
    for name in ("content-security-policy", "etag", "content-encoding", "vary", "cache-control"):
        assert len(page.headers.get_list(name)) == 1, name
    # Media lie beside the API here: no other host may be named.
    assert "http" not in page.headers["content-security-policy"]
    assert page.headers["server"] == "nginx"
    assert (again.status_code, again.content) == (304, b"")
    assert (missing.status_code, missing.json()["status_code"]) == (404, 10004)


CLAIMED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


async def test_what_a_client_claims_of_its_address_is_dropped(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    async with opened(tmp_path, gateway) as (port, storage):
        await get(f"http://127.0.0.1:{port}{VIDEO}", headers=CLAIMED)

    (head,) = storage.heads
    assert b"X-Forwarded-For: 127.0.0.1\r\n" in head
    assert b"X-Forwarded-Proto: http\r\n" in head


async def test_what_the_trusted_proxy_tells_of_its_client_is_passed_on(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    async with opened(tmp_path, gateway, NGINX_TRUSTED_PROXY="127.0.0.0/8") as (port, storage):
        chain = CLAIMED | {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
        await get(f"http://127.0.0.1:{port}{VIDEO}", headers=chain)

    (head,) = storage.heads
    # The rightmost that is not the proxy's own; what stands before it, the client has written.
    assert b"X-Forwarded-For: 203.0.113.9\r\n" in head
    assert b"X-Forwarded-Proto: https\r\n" in head


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_every_request_has_an_id_behind_nginx_and_a_strangers_trace_is_not_believed(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    async with opened(tmp_path, gateway) as (port, storage):
        for headers in ({}, {"X-Request-ID": "app-7.1"}, {"X-Request-ID": "a b"}):
            await get(f"http://127.0.0.1:{port}{VIDEO}", headers=headers)
        await get(f"http://127.0.0.1:{port}{VIDEO}", headers={"traceparent": TRACEPARENT})

    ids = [re.findall(rb"X-Request-ID: (.*)\r\n", head) for head in storage.heads]
    assert ids[1] == [b"app-7.1"]
    for of_request in (ids[0], ids[2]):
        assert re.fullmatch(rb"[0-9a-f]{32}", of_request[0])
    assert b"traceparent" not in storage.heads[3]


async def test_a_trace_of_the_trusted_proxy_is_passed_on(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    async with opened(tmp_path, gateway, NGINX_TRUSTED_PROXY="127.0.0.0/8") as (port, storage):
        headers = CLAIMED | {"traceparent": TRACEPARENT}
        await get(f"http://127.0.0.1:{port}{VIDEO}", headers=headers)

    assert TRACEPARENT.encode() in storage.heads[0]


class Names(asyncio.DatagramProtocol):
    """A name server that knows one answer to every question: the IPv4 addresses in `known`."""

    def __init__(self, *known: str) -> None:
        self.known = known

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        header = data[:2] + b"\x81\x80\x00\x01" + len(self.known).to_bytes(2, "big") + bytes(4)
        question = data[12 : data.index(b"\0", 12) + 5]
        # Each answer points back to the name of the question and holds for a second.
        answers = [
            b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04"
            + bytes(int(part) for part in address.split("."))
            for address in self.known
        ]
        self.transport.sendto(header + question + b"".join(answers), addr)


async def test_a_name_stands_for_all_of_its_addresses_also_while_one_of_them_is_dead(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    # Nobody listens on the second one.
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Names("127.0.0.1", "127.0.0.99"), ("127.0.0.1", 0)
    )
    resolver = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    behind = {
        "NGINX_BEHIND": "resolved.conf",
        "NGINX_RESOLVER": resolver,
        "NGINX_GATEWAY": f"gateway:{gateway.port}",
    }
    async with opened(tmp_path, gateway, **behind) as (port, _):
        replies = [await get(f"http://127.0.0.1:{port}/healthz") for _ in range(8)]
        async with open_client(port) as client:
            actions = [await client.post("/douyin/user/login/") for _ in range(8)]
    transport.close()

    assert {reply.status_code for reply in replies} == {200}
    # They were not sent to the dead one: asking another is safe for these too.
    assert {reply.json()["status_code"] for reply in actions} == {10001}
