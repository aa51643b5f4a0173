"""POST parameters as a JSON object, as web clients send them."""

from typing import Any

import httpx
import pytest

from pkg import errors
from tests.gateway.endpoints import ENDPOINTS, Endpoint, assert_envelope, name_of
from tests.gateway.fakes import FakeServices

LOGIN = "/douyin/user/login/"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.method == "POST"], ids=name_of)
@pytest.mark.parametrize("as_text", [False, True], ids=["numbers", "texts"])
async def test_post_parameters_come_in_a_json_object_too(  # noqa: PLR0917
    client: httpx.AsyncClient, services: FakeServices, token: str, endpoint: Endpoint, as_text: bool
) -> None:
    params = {k: str(v) if as_text else v for k, v in endpoint.params.items()}

    reply = await client.post("/douyin" + endpoint.path, json=params | {"token": token})

    assert_envelope(reply, None)
    request = services.last(endpoint.rpc)
    assert {name: getattr(request, name) for name in endpoint.params} == endpoint.params


async def test_the_query_wins_over_the_object(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    await client.post(f"{LOGIN}?username=q", json={"username": "j", "password": "p"})

    assert (services.last("Login").username, services.last("Login").password) == ("q", "p")


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"],
)
async def test_the_type_may_be_spelled_in_every_way(
    client: httpx.AsyncClient, services: FakeServices, content_type: str
) -> None:
    body = '{"username": "小美", "password": "p"}'.encode()

    reply = await client.post(LOGIN, content=body, headers={"Content-Type": content_type})

    assert_envelope(reply, None)
    assert services.last("Login").username == "小美"


async def test_texts_arrive_as_sent(client: httpx.AsyncClient, services: FakeServices) -> None:
    password = " p+ä&%=\t😀\x01 "

    await client.post(LOGIN, json={"username": "é😀中", "password": password})

    assert services.last("Login").password == password


BROKEN = {
    "no json": b"username=a&password=b",
    "cut": b'{"username": "a", "pass',
    "a list": b'["a", "b"]',
    "a text": b'"username"',
    "null": b"null",
    "no utf-8": b'{"username": "\xff", "password": "p"}',
    "half a character": b'{"username": "\\ud800", "password": "p"}',
    "a nested object": b'{"username": {"a": 1}, "password": "p"}',
    "a nested list": b'{"username": ["a"], "password": "p"}',
    "too deep": b"[" * 60_000,
    "too many members": b"{" + b",".join(b'"%d": 1' % i for i in range(101)) + b"}",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_object_of_values_is_a_business_error(
    client: httpx.AsyncClient, services: FakeServices, body: bytes
) -> None:
    reply = await client.post(LOGIN, content=body, headers=JSON)

    assert assert_envelope(reply, errors.InvalidParameter)["token"] == ""
    assert services.requests["Login"] == []


async def test_a_member_that_is_null_was_left_out(client: httpx.AsyncClient, token: str) -> None:
    body: dict[str, Any] = {"video_id": 1, "action_type": 1, "comment_text": "好"}
    path = "/douyin/comment/action/"

    fine = await client.post(path, json=body | {"comment_id": None, "token": token})
    missing = await client.post(path, json=body | {"video_id": None, "token": token})

    assert_envelope(fine, None)
    assert "video_id" in assert_envelope(missing, errors.InvalidParameter)["status_msg"]


async def test_a_type_without_a_body_is_no_fault(client: httpx.AsyncClient) -> None:
    reply = await client.post(f"{LOGIN}?username=a&password=b", headers=JSON)

    assert_envelope(reply, None)


@pytest.mark.parametrize("value", [True, 1.5, -1, 2**53, "x"])
async def test_a_number_is_as_strict_as_in_the_query(
    client: httpx.AsyncClient, token: str, value: object
) -> None:
    reply = await client.post(
        "/douyin/favorite/action/", json={"video_id": value, "action_type": 1, "token": token}
    )

    assert "video_id" in assert_envelope(reply, errors.InvalidParameter)["status_msg"]


async def test_an_object_over_64_kib_is_413(client: httpx.AsyncClient) -> None:
    reply = await client.post(LOGIN, json={"username": "x" * 70_000, "password": "p"})

    assert_envelope(reply, errors.PayloadTooLarge)
