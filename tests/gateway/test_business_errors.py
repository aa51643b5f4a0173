"""Business errors carry the endpoint's own fields at zero values; every reply forbids caches to keep it."""

from typing import Any

import httpx
import pytest

from pkg import errors
from tests.gateway.conftest import RunningGateway
from tests.gateway.endpoints import ENDPOINTS, Endpoint, assert_envelope, name_of, send
from tests.gateway.fakes import FakeServices
from tests.gateway.raw_http import raw_request
from tests.gateway.upload_forms import fields_of, publish

ENVELOPE = {"status_code", "status_msg"}
LIST = {"next_cursor": ""}
ZEROS: dict[str, dict[str, Any]] = {
    "/feed/": {"video_list": [], "next_time": 0},
    "/user/register/": {"user_id": 0, "token": ""},
    "/user/login/": {"user_id": 0, "token": ""},
    "/user/": {},
    "/publish/list/": {"video_list": []} | LIST,
    "/publish/status/": {"publish_list": []} | LIST,
    "/favorite/action/": {},
    "/favorite/list/": {"video_list": []} | LIST,
    "/comment/action/": {},
    "/comment/list/": {"comment_list": []} | LIST,
    "/comment/favorite/": {},
    "/relation/action/": {},
    "/relation/follow/list/": {"user_list": []} | LIST,
    "/relation/follower/list/": {"user_list": []} | LIST,
    "/relation/friend/list/": {"user_list": []} | LIST,
    "/message/chat/": {"message_list": []} | LIST,
    "/message/action/": {},
}


def own_fields(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ENVELOPE}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
async def test_an_error_of_a_service_carries_the_endpoints_fields_at_zero(
    client: httpx.AsyncClient, services: FakeServices, token: str, endpoint: Endpoint
) -> None:
    services.answers[endpoint.rpc] = errors.NotFound()

    body = assert_envelope(await send(client, endpoint, token=token), errors.NotFound)

    assert own_fields(body) == ZEROS[endpoint.path]


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.params], ids=name_of)
async def test_a_bad_parameter_carries_them_too_with_and_without_the_slash(
    client: httpx.AsyncClient, token: str, endpoint: Endpoint
) -> None:
    name, value = next(iter(endpoint.params.items()))
    bad = {name: "x" if isinstance(value, int) else None, "token": token}
    for path in (endpoint.path, endpoint.path.rstrip("/")):
        reply = await send(client, endpoint._replace(path=path), **bad)

        assert own_fields(assert_envelope(reply, errors.InvalidParameter)) == ZEROS[endpoint.path]


async def test_text_that_is_not_utf_8_and_a_broken_form_carry_them_too(
    client: httpx.AsyncClient,
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/douyin/user/login"
    for query, body in (("?username=%ff&password=a", b""), ("", b"username=%ff&password=a")):
        reply = await client.post(path + query, content=body, headers=form)

        assert own_fields(assert_envelope(reply, errors.InvalidParameter)) == {
            "user_id": 0,
            "token": "",
        }


@pytest.mark.parametrize("error", [errors.UnsupportedVideo, errors.InvalidParameter])
async def test_an_upload_that_is_refused_has_the_video_id_0(
    client: httpx.AsyncClient, services: FakeServices, token: str, error: type[errors.DomainError]
) -> None:
    services.answers["PublishAction"] = error()

    by_the_service = await publish(client, fields_of(token).items())
    by_the_gateway = await publish(client, b"no form", params={"token": token})

    assert own_fields(assert_envelope(by_the_service, error)) == {"video_id": 0}
    assert own_fields(assert_envelope(by_the_gateway, errors.InvalidParameter)) == {"video_id": 0}


async def test_an_error_that_is_no_business_error_is_the_envelope_alone(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    services.answers["Feed"] = errors.DependencyUnavailable()

    for reply in (
        await client.get("/douyin/feed/"),
        await client.get("/douyin/publish/status/"),
        await client.get("/douyin/nope/"),
        await client.post("/douyin/feed/"),
    ):
        assert reply.status_code != 200
        assert reply.json().keys() == ENVELOPE


@pytest.mark.parametrize(
    "path", ["/douyin/feed/", "/douyin/user/?user_id=x", "/douyin/publish/status/", "/nope"]
)
async def test_no_cache_keeps_a_reply_and_no_browser_guesses_its_type(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers

    assert headers.get_list("cache-control") == ["no-store"]
    assert headers.get_list("x-content-type-options") == ["nosniff"]


async def test_a_request_that_cannot_be_parsed_is_not_kept_either(gateway: RunningGateway) -> None:
    head = (await raw_request(gateway.port, b"NONSENSE\r\n\r\n")).lower()

    assert b"\r\ncache-control: no-store\r\n" in head
    assert b"\r\nx-content-type-options: nosniff\r\n" in head
