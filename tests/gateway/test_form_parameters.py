"""POST parameters in a form, and texts however they come."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.forms import merge_body, parse_form
from pkg import errors
from tests.gateway.conftest import RunningGateway
from tests.gateway.endpoints import ENDPOINTS, Endpoint, assert_envelope, name_of
from tests.gateway.fakes import FakeServices
from tests.gateway.raw_http import raw_request


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.method == "POST"], ids=name_of)
async def test_post_parameters_come_in_a_form_too(
    client: httpx.AsyncClient, services: FakeServices, token: str, endpoint: Endpoint
) -> None:
    fields = endpoint.params | {"token": token}

    assert_envelope(await client.post("/douyin" + endpoint.path, data=fields), None)

    request = services.last(endpoint.rpc)
    assert {name: getattr(request, name) for name in endpoint.params} == endpoint.params


async def test_the_query_wins_over_the_form(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    await client.post("/douyin/user/login/?username=q", data={"username": "f", "password": "p"})

    assert (services.last("Login").username, services.last("Login").password) == ("q", "p")


@given(
    query=st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5),
    form=st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5),
)
def test_form_fields_stand_behind_the_query_and_nothing_is_lost(
    query: dict[str, str], form: dict[str, str]
) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": urlencode(form).encode()}

    scope: dict[str, Any] = {"headers": [], "query_string": urlencode(query).encode()}
    asyncio.run(merge_body(scope, receive, parse_form))

    merged = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
    assert len(dict(merged)) == len(merged)
    assert dict(merged) == query | {
        name: value for name, value in form.items() if not query.get(name)
    }


async def test_a_form_over_64_kib_is_413(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"username=" + b"x" * 10_000

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    declared = await client.post("/douyin/user/login/", data={"username": "x" * 70_000})
    assert_envelope(declared, errors.PayloadTooLarge)
    async with client.stream(
        "POST", "/douyin/user/login", content=b"x" * 70_000, headers=form
    ) as r:
        await r.aread()
        assert_envelope(r, errors.PayloadTooLarge)


async def test_broken_percent_escapes_do_not_crash(client: httpx.AsyncClient) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}

    for body in (b"%", b"&&&==&", b"a" * 1000, b"=" * 999, b"&" * 999):
        reply = await client.post("/douyin/user/login", content=body, headers=form)
        assert_envelope(reply, errors.InvalidParameter)
    odd = await client.post(
        "/douyin/user/login?%&username=%zz", content=b"password=%", headers=form
    )
    assert_envelope(odd, None)
    assert_envelope(await client.get("/douyin/feed/?latest_time=%zz&%"), None)


async def test_texts_that_are_not_utf_8_are_refused(gateway: RunningGateway, token: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    in_form = await gateway.client.post(
        "/douyin/user/login", content=b"username=%ff&password=a", headers=form
    )
    in_query = await raw_request(
        gateway.port, b"POST /douyin/user/login?username=%ff&password=a HTTP/1.1\r\nHost: a\r\n\r\n"
    )

    assert_envelope(in_form, errors.InvalidParameter)
    assert json.loads(in_query.partition(b"\r\n\r\n")[2])["status_code"] == 10001


async def test_what_does_not_concern_the_endpoint_may_be_in_any_encoding(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=GBK"}
    for query, body in (
        (b"?note=%ff&username=a", b"password=b"),
        (b"?username=a", b"note=%c4%e3&password=b&note=\xff"),
        (b"?%ff=%ff&username=a&username=a", b"password=b"),
    ):
        reply = await client.post(
            f"/douyin/user/login/{query.decode()}", content=body, headers=form
        )

        assert_envelope(reply, None)
        assert (services.last("Login").username, services.last("Login").password) == ("a", "b")


async def test_texts_arrive_as_sent(client: httpx.AsyncClient, services: FakeServices) -> None:
    password = " p+ä&%=\t😀\x01 "

    await client.post("/douyin/user/login", params={"username": "é😀中", "password": password})
    in_query = services.last("Login")
    await client.post("/douyin/user/login", data={"username": "é😀中", "password": password})

    assert services.last("Login") == in_query
    assert (in_query.username, in_query.password) == ("é😀中", password)
