"""What operators rely on: request ids, addresses, rate limits, health, metrics."""

import asyncio
from typing import Any

import httpx
import pytest

from pkg import errors
from pkg.rpc.client import ServiceClient
from pkg.token import TokenIssuer
from pkg.tracing import TracingSettings
from pkg.tracing.recorder import recording
from protos.user_pb2 import LoginReply
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.endpoints import assert_envelope
from tests.gateway.fakes import FakeServices


async def test_the_request_id_comes_in_goes_on_and_comes_back(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    response = await client.get("/douyin/feed/", headers={"X-Request-ID": "app-1.2_3"})

    assert response.headers["x-request-id"] == "app-1.2_3"
    assert services.last_metadata["Feed"]["x-request-id"] == "app-1.2_3"


@pytest.mark.parametrize("bad", ["", "a b", "x" * 65, "a;b", "<script>"])
async def test_an_improper_request_id_is_replaced(client: httpx.AsyncClient, bad: str) -> None:
    reply = await client.get("/nope", headers={"X-Request-ID": bad})

    assert len(reply.headers["x-request-id"]) == 32


async def test_login_tells_the_service_the_address_that_a_trusted_proxy_tells(
    client: httpx.AsyncClient, services: FakeServices, start_gateway: StartGateway
) -> None:
    services.answers["Login"] = LoginReply(user_id=3, token="t")
    forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}

    reply = await client.post("/douyin/user/login?username=a&password=b", headers=forwarded)
    trusted = services.last_metadata["Login"]["x-client-address"]
    async with start_gateway(trusted_proxies=[]) as careful:
        await careful.client.post("/douyin/user/login?username=a&password=b", headers=forwarded)

    assert reply.json() == {"status_code": 0, "status_msg": "成功", "user_id": 3, "token": "t"}
    assert trusted == "203.0.113.9"
    assert services.last_metadata["Login"]["x-client-address"] == "127.0.0.1"


async def test_limits_of_users_and_addresses_are_429_with_retry_after(
    start_gateway: StartGateway, issuer: TokenIssuer
) -> None:
    limit = {
        "enabled": True,
        "user_rate_per_s": 1,
        "user_burst_requests": 3,
        "address_rate_per_s": 1,
        "address_burst_requests": 8,
    }
    first, second = issuer.issue(1), issuer.issue(2)
    async with start_gateway(rate_limit=limit) as gateway:
        client = gateway.client
        users = [
            await client.get("/douyin/publish/status", params={"token": token})
            for token in (first, first, first, first, second)
        ]
        addresses = [await client.get("/douyin/feed/") for _ in range(5)]
        elsewhere = await client.get("/douyin/feed/", headers={"X-Forwarded-For": "203.0.113.9"})
        health = [await client.get("/healthz") for _ in range(20)]

    assert [reply.status_code for reply in users] == [200, 200, 200, 429, 200]
    assert [reply.status_code for reply in addresses] == [200, 200, 200, 429, 429]
    assert addresses[-1].headers["retry-after"] == "1"
    assert_envelope(addresses[-1], errors.RateLimited)
    assert elsewhere.status_code == 200
    assert {reply.status_code for reply in health} == {200}


async def test_registrations_of_one_network_are_429_while_it_logs_in_and_others_register(
    start_gateway: StartGateway, services: FakeServices
) -> None:
    limit = {"enabled": True, "registration_rate_per_min": 1, "registration_burst_requests": 2}
    person = {"username": "a", "password": "b"}
    household = [{"X-Forwarded-For": f"2001:db8::{number}"} for number in range(3)]
    async with start_gateway(rate_limit=limit) as gateway:
        client = gateway.client
        replies = [
            await client.post("/douyin/user/register/", params=person, headers=headers)
            for headers in household
        ]
        login = await client.post("/douyin/user/login/", params=person, headers=household[0])
        elsewhere = await client.post("/douyin/user/register/", params=person)

    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert_envelope(replies[-1], errors.RateLimited)
    assert int(replies[-1].headers["retry-after"]) > 1
    assert login.status_code == elsewhere.status_code == 200
    assert services.last_metadata["Register"]["x-client-address"] == "127.0.0.1"


async def test_many_who_ask_for_readiness_at_once_share_the_look_at_the_services(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    is_serving = ServiceClient.is_serving

    async def count(client: ServiceClient[Any], *, timeout_s: float) -> bool:
        asked.append(client.service)
        return await is_serving(client, timeout_s=timeout_s)

    monkeypatch.setattr(ServiceClient, "is_serving", count)
    replies = await asyncio.gather(*(gateway.client.get("/readyz") for _ in range(100)))

    assert {reply.status_code for reply in replies} == {200}
    assert len(asked) <= 6 * 50


async def test_readiness_names_the_services_that_do_not_answer(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    ready = await client.get("/readyz")
    await services.health.set("dousheng.VideoService", 2)
    not_ready = await client.get("/readyz")

    assert assert_envelope(ready, None)["missing"] == []
    assert assert_envelope(not_ready, errors.DependencyUnavailable)["missing"] == ["video"]
    assert (await client.get("/healthz")).status_code == 200


async def test_metrics_count_requests_by_route_and_status(client: httpx.AsyncClient) -> None:
    await client.get("/douyin/feed")
    await client.get("/douyin/user/?user_id=77")
    await client.get("/no/such/path")

    text = (await client.get("/metrics")).text

    for line in ('route="/douyin/feed/",status="200"', 'route="unmatched",status="404"'):
        assert line in text
    assert 'dousheng_rpc_called_seconds_count{code="OK",method="Feed"}' in text
    assert (
        "77"
        not in text.replace("e+", "").split("dousheng_http_served_seconds_count")[1].split("\n")[0]
    )


TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


async def test_a_trace_of_a_trusted_proxy_goes_on_and_a_strangers_does_not(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    traced = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
    settings = TracingSettings(sample_ratio=0, slow_s=60, timeout_s=1)

    with recording(settings, lambda part: None):
        proxied = traced | {"X-Forwarded-For": "203.0.113.9"}
        told = await client.get("/douyin/feed", headers=proxied)
        passed_on = services.last_metadata["Feed"]["traceparent"]
        claimed = await client.get("/douyin/feed", headers=traced)
        failed = await client.get("/douyin/user/", headers=traced)

    assert told.headers["x-trace-id"] == TRACE_ID
    assert passed_on.startswith(f"00-{TRACE_ID}-")
    # Nobody keeps it for certain; an error names it all the same.
    assert "x-trace-id" not in claimed.headers
    assert failed.headers["x-trace-id"] == failed.headers["x-request-id"] != TRACE_ID


async def test_a_reply_names_a_trace_that_is_kept_once(client: httpx.AsyncClient) -> None:
    settings = TracingSettings(sample_ratio=1, slow_s=60, timeout_s=1)

    with recording(settings, lambda part: None):
        for path in ("/douyin/feed", "/douyin/user/"):
            headers = (await client.get(path)).headers
            assert headers.get_list("x-trace-id") == [headers["x-request-id"]]


async def test_without_tracing_no_reply_names_a_trace(client: httpx.AsyncClient) -> None:
    assert "x-trace-id" not in (await client.get("/douyin/feed")).headers
