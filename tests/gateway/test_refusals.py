"""Errors of every kind, as a client sees them."""

import asyncio
import json

import httpx
import pytest

from pkg import errors
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.endpoints import ENDPOINTS, Endpoint, assert_envelope, name_of, send
from tests.gateway.fakes import FakeServices
from tests.gateway.raw_http import raw_request


@pytest.mark.parametrize(
    "path", ["/nope", "/douyin", "/douyin/", "/douyin/nope/", "/douyin/feed/x"]
)
async def test_unknown_paths_are_404_in_the_envelope(client: httpx.AsyncClient, path: str) -> None:
    assert_envelope(await client.get(path), errors.RouteNotFound)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
async def test_a_wrong_method_is_405_in_the_envelope(
    client: httpx.AsyncClient, endpoint: Endpoint
) -> None:
    wrong = endpoint._replace(method="GET" if endpoint.method == "POST" else "POST")

    assert_envelope(await send(client, wrong), errors.MethodNotAllowed)


async def test_a_wrong_method_is_405_outside_the_prefix_too(client: httpx.AsyncClient) -> None:
    assert_envelope(await client.put("/healthz"), errors.MethodNotAllowed)


@pytest.mark.parametrize("error", errors.list_error_classes(), ids=lambda error: error.__name__)
async def test_every_error_of_a_service_reaches_the_client_as_its_envelope(
    client: httpx.AsyncClient, services: FakeServices, error: type[errors.DomainError]
) -> None:
    services.answers["Feed"] = error(detail="host 10.0.0.1 SELECT password")

    reply = await client.get("/douyin/feed/")

    assert assert_envelope(reply, error)["status_msg"] == error.default_message
    assert ("retry-after" in reply.headers) == (error.http_status in (429, 503))
    assert b"SELECT" not in reply.content


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
async def test_an_endpoint_hands_on_the_error_of_its_service(
    client: httpx.AsyncClient, services: FakeServices, token: str, endpoint: Endpoint
) -> None:
    services.answers[endpoint.rpc] = errors.NotFound()

    assert_envelope(await send(client, endpoint, token=token), errors.NotFound)


async def test_a_bug_is_500_without_a_trace_of_it(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_scope: object) -> str:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(gateway.app.state.gateway.media_urls, "base_for", fail)

    response = await gateway.client.get("/douyin/feed/")

    assert_envelope(response, errors.InternalError)
    assert b"secret" not in response.content
    assert response.headers["x-request-id"]


async def test_a_service_that_is_not_there_is_503(start_gateway: StartGateway) -> None:
    async with start_gateway(reachable=False) as gateway:
        response = await gateway.client.get("/douyin/feed/")

    assert_envelope(response, errors.DependencyUnavailable)
    assert response.headers["retry-after"]


async def test_a_service_that_died_is_503(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    await services.stop()

    assert_envelope(await client.get("/douyin/feed/"), errors.DependencyUnavailable)


async def test_an_endpoint_that_is_not_built_is_503(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    services.answers["Feed"] = NotImplementedError()

    assert_envelope(await client.get("/douyin/feed/"), errors.Unimplemented)


async def test_a_service_that_hangs_is_503_after_the_deadline(
    start_gateway: StartGateway, services: FakeServices
) -> None:
    async def hang(_request: object) -> None:
        await asyncio.sleep(5)  # Longer than the deadline.

    services.answers["Feed"] = hang
    async with start_gateway(rpc_timeout_s=0.2) as gateway:
        response = await gateway.client.get("/douyin/feed/")

    assert_envelope(response, errors.DeadlineExceeded)
    assert response.elapsed.total_seconds() < 2


async def test_a_call_is_answered_within_the_overall_deadline(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.middleware.DEADLINE_S", 0.3)
    head = (
        b"POST /douyin/user/login HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nusername=a"
    )

    reply = await raw_request(gateway.port, head)

    assert reply.startswith(b"HTTP/1.1 503")
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["status_code"] == 10010


async def test_a_request_line_over_16_kib_is_414_and_1000_emoji_pass(
    gateway: RunningGateway, services: FakeServices, token: str
) -> None:
    text = "😀" * 1000
    path = "/douyin/message/action"
    params = {"token": token, "to_user_id": "1", "action_type": "1", "content": text}

    passed = await gateway.client.post(path, params=params)
    refused = await gateway.client.post(path, params=params | {"content": text + "x" * 4500})
    flood = await raw_request(gateway.port, b"GET /" + b"x" * 3_000_000)

    assert_envelope(passed, None)
    assert services.last("MessageAction").content == text
    assert_envelope(refused, errors.UriTooLong)
    assert flood.startswith(b"HTTP/1.1 414")


NO_HTTP = {
    "nonsense": b"NONSENSE\r\n\r\n",
    "raw text": "GET /douyin/feed/?latest_time=现在 HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "no length": b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_what_is_no_http_gets_the_envelope(
    gateway: RunningGateway, request_bytes: bytes
) -> None:
    head, _, body = (await raw_request(gateway.port, request_bytes)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(body)["status_code"] == errors.InvalidParameter.status_code
