"""What nginx says for itself and lets the storage say: everything is ours, whoever refuses."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pkg import errors
from scripts.stack.ports import find_free_port_base
from tests.gateway.conftest import RunningGateway
from tests.gateway.endpoints import assert_envelope
from tests.gateway.nginx_door import Storage, open_client, open_door
from tests.gateway.raw_http import raw_request

# nginx is a server of the machine, like MySQL.
pytestmark = pytest.mark.servers

VIDEO = "/media/tiktok-videos/a/b.mp4"
SECRET = b"<Error><Code>Secret</Code><BucketName>tiktok-videos</BucketName></Error>"
FEED = b"GET /douyin/feed/ HTTP/1.1\r\n"


@dataclass
class Door:
    """nginx, and what stands behind it."""

    port: int
    storage: Storage
    client: httpx.AsyncClient


@pytest.fixture
async def door(gateway: RunningGateway, tmp_path: Path) -> AsyncIterator[Door]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    port = find_free_port_base()
    storage = Storage()
    async with (
        open_door(folder, port=port, gateway_ports=[gateway.port], storage=storage),
        open_client(port) as client,
    ):
        yield Door(port, storage, client)


MALFORMED = {
    "raw spaces": b"GET /douyin/feed/?latest_time=1 2 HTTP/1.1\r\nHost: a\r\n\r\n",
    "nonsense": b"NONSENSE\r\n\r\n",
    "no version": b"GET /douyin/feed/ HTTP/x\r\nHost: a\r\n\r\n",
    "a version of the future": b"GET /douyin/feed/ HTTP/9.1\r\nHost: a\r\n\r\n",
    "no address": b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    "a broken escape in the path": b"GET /douyin/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    "above the root": b"GET /../../x HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": FEED + b"\r\n",
    "a bad host": FEED + b"Host: a b/c\r\n\r\n",
    "two hosts": FEED + b"Host: a\r\nHost: b\r\n\r\n",
    "a header without a name": FEED + b"Host: a\r\n: x\r\n\r\n",
    "a NUL in a header": FEED + b"Host: a\r\nX: \0\r\n\r\n",
    "a header too long": FEED + b"Host: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    "no length": FEED + b"Host: a\r\nContent-Length: x\r\n\r\n",
    "two lengths": FEED + b"Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length and chunks": FEED
    + b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": FEED + b"Host: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "an expectation": FEED + b"Host: a\r\nExpect: 200-x\r\nContent-Length: x\r\n\r\n",
}


async def test_a_request_that_cannot_be_parsed_is_malformed_and_no_unknown_address(
    door: Door,
) -> None:
    for name, request in MALFORMED.items():
        reply = await raw_request(door.port, request)

        head, _, body = reply.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK"), name
        assert json.loads(body)["status_code"] == errors.InvalidParameter.status_code, name
        assert b"cache-control: no-store" in head.lower(), name
        assert b"x-content-type-options: nosniff" in head.lower(), name


async def test_old_and_odd_requests_are_answered_in_the_envelope(door: Door) -> None:
    expected = {
        b"GET /douyin/feed/ HTTP/1.0\r\n\r\n": (200, 0),
        b"GET http://elsewhere/douyin/feed/ HTTP/1.1\r\nHost: a\r\n\r\n": (200, 0),
        b"OPTIONS /douyin/feed/ HTTP/1.1\r\nHost: a\r\n\r\n": (405, 10005),
        b"BREW /douyin/feed/ HTTP/1.1\r\nHost: a\r\n\r\n": (200, 10001),
        b"TRACE /douyin/feed/ HTTP/1.1\r\nHost: a\r\n\r\n": (405, 10005),
        b"GET /.git/config HTTP/1.1\r\nHost: a\r\n\r\n": (404, 10004),
        b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n": (404, 10004),
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n": (414, 10007),
        b"POST /douyin/user/login HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n": (
            413,
            10006,
        ),
    }
    for request, (status, code) in expected.items():
        head, _, body = (await raw_request(door.port, request)).partition(b"\r\n\r\n")

        assert int(head.split()[1]) == status, request[:80]
        assert json.loads(body)["status_code"] == code, request[:80]
        assert b"cache-control: no-store" in head.lower(), request[:80]


async def test_what_came_before_rubbish_gets_its_reply_first(door: Door) -> None:
    feed = FEED + b"Host: a\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    async with asyncio.timeout(10):
        writer.write(feed + feed + b"\x16\x03\x01rubbish\r\n\r\n" + feed)
        replies = await reader.read()
    writer.close()

    codes = [int(code) for code in re.findall(rb'"status_code":(\d+)', replies)]
    assert codes == [0, 0, errors.InvalidParameter.status_code]


async def test_headers_of_the_gateway_come_once(door: Door) -> None:
    headers = (await door.client.get("/douyin/feed/")).headers

    assert headers.get_list("cache-control") == ["no-store"]
    assert headers.get_list("x-content-type-options") == ["nosniff"]


STORAGE_REFUSALS = {
    "400 Bad Request": errors.RouteNotFound,
    "401 Unauthorized": errors.RouteNotFound,
    "403 Forbidden": errors.RouteNotFound,
    "404 Not Found": errors.RouteNotFound,
    "405 Method Not Allowed": errors.MethodNotAllowed,
    "409 Conflict": errors.RouteNotFound,
    "412 Precondition Failed": errors.RouteNotFound,
    "429 Too Many Requests": errors.DependencyUnavailable,
    "301 Moved Permanently": errors.RouteNotFound,
    "307 Temporary Redirect": errors.RouteNotFound,
    "500 Internal Server Error": errors.DependencyUnavailable,
    "503 Slow Down": errors.DependencyUnavailable,
    "507 Insufficient Storage": errors.DependencyUnavailable,
}


async def test_no_refusal_of_the_storage_reaches_a_client(door: Door) -> None:
    for status, error in STORAGE_REFUSALS.items():
        door.storage.says(
            status, SECRET, "Content-Type: application/xml", "Location: http://10.0.0.1:8333/x"
        )

        reply = await door.client.get(VIDEO)

        assert_envelope(reply, error)
        assert "location" not in reply.headers
        assert reply.headers.get_list("cache-control") == ["no-store"]


async def test_a_range_that_an_object_does_not_have_is_416_without_a_word_of_the_storage(
    door: Door,
) -> None:
    for said, told in (("bytes */1000", "bytes */1000"), ("bucket tiktok", None), (None, None)):
        headers = ["Content-Type: application/xml", "X-Amz-Request-Id: 1"]
        if said:
            headers.append(f"Content-Range: {said}")
        door.storage.says("416 Requested Range Not Satisfiable", SECRET, *headers)

        reply = await door.client.get(VIDEO, headers={"Range": "bytes=5000-"})

        assert_envelope(reply, errors.RangeNotSatisfiable)
        assert reply.headers.get("content-range") == told
        assert "x-amz-request-id" not in reply.headers


CONDITIONS = [
    ({"If-Modified-Since": "junk"}, {}),
    ({"If-Match": '"x"', "If-Unmodified-Since": "junk"}, {}),
    (
        {"If-Modified-Since": "Wed, 25 Nov 2026 04:34:01 GMT", "If-None-Match": '"x"'},
        {"if-none-match": '"x"'},
    ),
    (
        {"If-Modified-Since": "Wed, 25 Nov 2026 04:34:01 GMT"},
        {"if-modified-since": "Wed, 25 Nov 2026 04:34:01 GMT"},
    ),
    ({"Range": "bytes=5-18446744073709551615"}, {"range": "bytes=5-"}),
    ({"Range": "bytes=5-900"}, {"range": "bytes=5-900"}),
]


async def test_conditions_that_the_storage_would_call_errors_do_not_reach_it(door: Door) -> None:
    door.storage.says("200 OK", b"v")
    for sent, arrived in CONDITIONS:
        door.storage.heads.clear()

        await door.client.get(VIDEO, headers=sent)

        lines = [line.partition(": ") for line in door.storage.heads[0].decode().split("\r\n")]
        headers = {name.lower(): value for name, _, value in lines}
        found = {
            name: value for name, value in headers.items() if name.startswith(("if-", "range"))
        }
        assert found == arrived, sent


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/media/tiktok-videos/a.mp4", "video/mp4"),
        ("/media/tiktok-videos/a.html", "video/mp4"),
        ("/media/tiktok-video-covers/a.jpg", "image/jpeg"),
        ("/media/tiktok-video-covers/1_title_1690000000000.png", "image/jpeg"),
        (f"/media/tiktok-video-covers/{'0a' * 20}.png", "image/png"),
        ("/media/tiktok-user-avatars/a.png", "image/png"),
        ("/media/tiktok-user-backgrounds/a.jpg", "image/jpeg"),
        ("/media/tiktok-user-backgrounds/a.html", "image/jpeg"),
    ],
)
async def test_an_object_has_the_type_of_its_bucket_whatever_the_storage_says(
    door: Door, path: str, content_type: str
) -> None:
    for status in ("200 OK", "206 Partial Content"):
        door.storage.says(
            status,
            b"<script>",
            "Content-Type: text/html",
            "Content-Disposition: attachment",
            "Set-Cookie: a=b",
            "Server: storage",
        )

        reply = await door.client.get(path)

        assert reply.content == b"<script>"
        assert reply.headers.get_list("content-type") == [content_type]
        assert reply.headers.get_list("x-content-type-options") == ["nosniff"]
        assert reply.headers.get_list("cache-control") == ["public, max-age=86400, immutable"]
        assert not {"content-disposition", "set-cookie"} & reply.headers.keys()
        assert reply.headers["server"] == "nginx"


async def test_only_media_are_asked_of_the_storage_and_without_a_secret(door: Door) -> None:
    door.storage.says("200 OK", b"v")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert_envelope(await door.client.request(method, VIDEO), errors.MethodNotAllowed)
    for path in (
        "/media/",
        "/media/tiktok-videos/",
        "/media/tiktok-video-uploads/a.mp4",
        "/media/tiktok-videos/a/",
        "/media/tiktok-videos/%2e%2e/tiktok-video-uploads/a.mp4",
        "/media/tiktok-videos/a%00.mp4",
        "/media/tiktok-videos/a%0d%0ab.mp4",
    ):
        assert (await door.client.get(path)).status_code in {200, 404}, path
    assert door.storage.heads == []

    await door.client.get(
        f"{VIDEO}?uploads&token=t", headers={"Authorization": "Bearer t", "Cookie": "a=b"}
    )

    (head,) = door.storage.heads
    assert head.startswith(b"GET /tiktok-videos/a/b.mp4 HTTP/1.1\r\n")
    assert b"authorization" not in head.lower()
    assert b"cookie" not in head.lower()


async def test_a_gateway_that_is_down_is_503(tmp_path: Path) -> None:
    with socket.socket() as probe, socket.socket() as nobody:
        probe.bind(("127.0.0.1", 0))
        nobody.bind(("127.0.0.1", 0))
        port, dead_port = probe.getsockname()[1], nobody.getsockname()[1]
    folder = tmp_path / "nginx"
    folder.mkdir()
    async with (
        open_door(folder, port=port, gateway_ports=[dead_port], storage=Storage()),
        open_client(port) as client,
    ):
        reply = await client.get("/douyin/feed/")

    assert_envelope(reply, errors.DependencyUnavailable)
    assert reply.headers["retry-after"]
    assert reply.headers["cache-control"] == "no-store"


class DyingGateway:
    """Reads a request and then closes, as a gateway that is killed does; keeps the request lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.lines.append((await reader.readuntil(b"\r\n")).decode().strip())
        writer.close()


@pytest.mark.parametrize(
    ("method", "path", "goes_on"),
    [
        ("GET", "/douyin/feed", True),
        ("GET", "/douyin/message/chat/", True),
        ("POST", "/douyin/user/login/", True),
        ("POST", "/douyin/favorite/action", True),
        ("POST", "/douyin/relation/action/", True),
        ("POST", "/douyin/user/register/", False),
        ("POST", "/douyin/comment/action/", False),
        ("POST", "/douyin/message/action/", False),
        ("POST", "/douyin/publish/action/", False),
    ],
)
async def test_what_is_safe_to_repeat_goes_on_to_another_gateway_and_nothing_else(
    gateway: RunningGateway, tmp_path: Path, method: str, path: str, *, goes_on: bool
) -> None:
    (folder := tmp_path / "nginx").mkdir()
    dying, port = DyingGateway(), find_free_port_base()
    server = await asyncio.start_server(dying.answer, "127.0.0.1", 0)
    ports = [server.sockets[0].getsockname()[1], gateway.port]
    async with (
        open_door(folder, port=port, gateway_ports=ports, storage=Storage()),
        open_client(port) as client,
    ):
        # One of two goes to the gateway that dies.
        replies = [await client.request(method, path) for _ in range(2)]

    assert [line.split()[:2] for line in dying.lines] == [[method, path]]
    unavailable = [reply for reply in replies if reply.status_code == 503]
    assert len(unavailable) == (0 if goes_on else 1)
    server.close()


async def test_what_was_not_sent_goes_on_to_another_gateway(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    (folder := tmp_path / "nginx").mkdir()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        ports = [nobody.getsockname()[1], gateway.port]
        async with (
            open_door(
                folder, port=(port := find_free_port_base()), gateway_ports=ports, storage=Storage()
            ),
            open_client(port) as client,
        ):
            replies = [await client.post("/douyin/comment/action/") for _ in range(4)]

    assert {reply.status_code for reply in replies} == {401}
