"""The web client's files: found, cached, packed, and bound by their headers; nothing else of the folder is served."""

import gzip
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest

from gateway.routes.web import MEDIA_TYPES, WEB_DIR
from pkg import errors
from pkg.settings import DEFAULT_CONFIG_DIR
from tests.gateway.conftest import StartGateway
from tests.gateway.endpoints import assert_envelope

REPOSITORY = DEFAULT_CONFIG_DIR.parent
SERVED = sorted(path for path in WEB_DIR.rglob("*") if path.suffix in MEDIA_TYPES)
MOST_BYTES = 150 * 1024


def url_of(path: Path) -> str:
    return f"/web/{path.relative_to(WEB_DIR)}"


async def test_the_page_is_at_the_root(client: httpx.AsyncClient) -> None:
    reply = await client.get("/")

    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.content == (WEB_DIR / "index.html").read_bytes()


async def test_every_file_has_its_type_and_comes_as_it_is(client: httpx.AsyncClient) -> None:
    for path in SERVED:
        reply = await client.get(url_of(path))

        assert reply.content == path.read_bytes(), path
        assert reply.headers["content-type"].startswith(MEDIA_TYPES[path.suffix]), path
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_texts_travel_packed_to_whoever_takes_that(client: httpx.AsyncClient) -> None:
    async def ask(coding: str) -> tuple[str | None, bytes, str]:
        async with client.stream("GET", "/", headers={"Accept-Encoding": coding}) as reply:
            body = b"".join([part async for part in reply.aiter_raw()])
        return reply.headers.get("content-encoding"), body, reply.headers["vary"]

    page = (WEB_DIR / "index.html").read_bytes()
    for taken in ("gzip", "br, gzip;q=0.5", "GZIP"):
        coding, body, vary = await ask(taken)
        assert (coding, gzip.decompress(body), vary) == ("gzip", page, "Accept-Encoding")
    for refused in ("identity", "gzip;q=0", "gzip; q=0.0", "x-gzip-ish"):
        assert await ask(refused) == (None, page, "Accept-Encoding")


async def test_what_the_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/")
    etag = first.headers["etag"]

    for told in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = await client.get("/", headers={"If-None-Match": told})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        assert "content-security-policy" in again.headers
    assert (await client.get("/", headers={"If-None-Match": '"other"'})).status_code == 200
    assert first.headers["cache-control"] == "no-cache"


async def test_a_changed_file_is_sent_at_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gateway.routes.web.WEB_DIR", tmp_path)
    file = tmp_path / "app.js"
    file.write_text("1")
    etag = (await client.get("/web/app.js")).headers["etag"]

    file.write_text("22")

    reply = await client.get("/web/app.js", headers={"If-None-Match": etag})
    assert (reply.status_code, reply.text) == (200, "22")


async def test_head_tells_the_same_without_a_body(client: httpx.AsyncClient) -> None:
    got, told = await client.get("/"), await client.head("/")

    assert (told.status_code, told.content) == (200, b"")
    changing = {"date", "x-request-id"}
    assert {k: v for k, v in told.headers.items() if k not in changing} == {
        k: v for k, v in got.headers.items() if k not in changing
    }


async def test_the_page_may_load_nothing_but_its_own_files_and_the_media(
    client: httpx.AsyncClient,
) -> None:
    reply = await client.get("/", headers={"Host": "a.test", "X-Forwarded-Host": "a.test"})

    policy = dict(
        rule.split(" ", 1) for rule in reply.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["img-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "server" not in reply.headers


async def test_media_of_another_host_may_be_shown(start_gateway: StartGateway) -> None:
    base = "https://media.example.com/of/ours"
    async with start_gateway(reachable=False, media_base_url=base) as gateway:
        policy = (await gateway.client.get("/")).headers["content-security-policy"]

    assert "img-src 'self' https://media.example.com;" in policy
    assert "media-src 'self' https://media.example.com blob:;" in policy


async def test_nothing_else_is_served(client: httpx.AsyncClient) -> None:
    hidden = [
        "README.md",
        "nope.js",
        ".hidden.js",
        "..%2Fapp.js",
        "%2e%2e/routes/web.py",
        "a%00.js",
    ]
    places = ["/web", "/web/", "/web//etc/passwd", "/web/index.html/x.js", "/index.html", "/x"]
    for path in places + [f"/web/{name}" for name in hidden]:
        assert_envelope(await client.get(path), errors.RouteNotFound)


async def test_the_page_takes_no_other_method(client: httpx.AsyncClient) -> None:
    assert (await client.post("/")).status_code == 405


def test_the_whole_client_is_small() -> None:
    assert sum(path.stat().st_size for path in SERVED) < MOST_BYTES


def test_the_image_contains_every_file() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["*"]

    for path in SERVED:
        assert any(fnmatch(path.name, pattern) for pattern in patterns), path
        # setuptools takes a folder for a package where its name could be one.
        assert all(part.isidentifier() for part in path.relative_to(WEB_DIR).parent.parts), path
