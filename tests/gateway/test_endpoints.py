"""An endpoint's plan does what FastAPI would do with the same signature."""

from collections.abc import AsyncIterator
from random import Random
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

import pytest
from fastapi import APIRouter, Header, Query
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from gateway.endpoints import plan_endpoints, read_query
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.endpoints import ENDPOINTS, Endpoint
from tests.gateway.fakes import FakeServices

# What clients put into parameters: what is proper, what is not, and what has to be quoted.
TEXTS = [
    *("", "0", "1", "2", "3", "-1", "+1", " 1", "1.5", "9" * 16, "9" * 20, "500", "501", "١", "a"),
    *("好 😀", "a+b&c=d%", "x" * 300, "\x00", b"\xff"),
]
OTHER_NAMES = ("token", "limit", "cursor", "latest_time", "user_id", "pre_msg_time", "unknown")
QUERIES_PER_ENDPOINT = 12

Queries = list[list[tuple[str, Any]]]


@pytest.fixture
async def gateways(
    gateway: RunningGateway, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[RunningGateway, RunningGateway]]:
    """Ours, and one that leaves every endpoint to FastAPI."""
    monkeypatch.setattr("gateway.app.plan_endpoints", lambda _routes: {})
    async with start_gateway() as other:
        yield gateway, other


def test_every_endpoint_of_the_contract_is_planned(gateway: RunningGateway) -> None:
    planned = plan_endpoints(gateway.app.router.routes)

    assert {(one.method, f"/douyin{one.path}") for one in ENDPOINTS} <= planned.keys()
    assert ("POST", "/douyin/publish/action/") in planned


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
async def test_replies_and_calls_are_those_of_fastapi(
    endpoint: Endpoint,
    gateways: tuple[RunningGateway, RunningGateway],
    services: FakeServices,
    token: str,
) -> None:
    for query in make_queries(endpoint, token):
        outcomes = []
        for running in gateways:
            services.requests.clear()
            reply = await running.client.request(
                endpoint.method, f"/douyin{endpoint.path}?{urlencode(query)}"
            )
            outcomes.append((reply.status_code, reply.content, dict(services.requests)))

        assert outcomes[0] == outcomes[1], query


def make_queries(endpoint: Endpoint, token: str) -> Queries:
    """Return what is proper, each of its parameters left out, and both with others; the same at each run."""
    random = Random(endpoint.path)
    proper: list[tuple[str, Any]] = [*endpoint.params.items(), ("token", token)]
    queries = [proper, *([one for one in proper if one is not left] for left in proper)]
    names = [*endpoint.params, *OTHER_NAMES]
    while len(queries) < QUERIES_PER_ENDPOINT:
        query = list(random.choice(queries[: len(proper) + 1]))
        query += [(random.choice(names), random.choice(TEXTS)) for _ in range(random.randint(1, 2))]
        random.shuffle(query)
        queries.append(query)
    return queries


def test_what_only_fastapi_knows_is_left_to_it() -> None:
    router = APIRouter()

    @router.get("/header")
    async def read_header(accept: Annotated[str, Header()]) -> Response:
        return Response(accept)

    @router.get("/path/{name}")
    async def read_path(name: str) -> Response:
        return Response(name)

    @router.get("/thread")
    def run_in_thread(name: Annotated[str, Query()]) -> Response:
        return Response(name)

    @router.get("/query")
    async def read_parameter(name: Annotated[str, Query()]) -> Response:
        return Response(name)

    assert plan_endpoints(router.routes).keys() == {("GET", "/query")}


@pytest.mark.parametrize(
    "text",
    [*("", "a", "a=", "=b", "a=1&a=2", "a=1&&b=2&", "a=b=c", "a=1+2", "a=%ff", "%", "a;b=1"), "%61=%E5%A5%BD"],
)  # fmt: skip
def test_a_query_is_read_as_starlette_reads_it(text: str) -> None:
    assert read_query(text.encode()) == dict(parse_qsl(text, keep_blank_values=True))


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=10), max_size=4))
def test_whatever_a_query_holds_comes_out_again(parameters: dict[str, Any]) -> None:
    assert read_query(urlencode(parameters).encode()) == parameters
