"""Tokens: where they come from, and what an endpoint does without a valid one."""

import asyncio

import httpx
import pytest

from pkg import errors
from pkg.token import TokenIssuer, TokenSettings
from tests.gateway.conftest import VIEWER_ID
from tests.gateway.endpoints import ENDPOINTS, Endpoint, assert_envelope, name_of, send
from tests.gateway.fakes import FakeServices

BAD_TOKENS = ("", "junk", "a.b.c", "x" * 3000, "令牌")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
async def test_a_required_token_that_is_missing_or_broken_is_401_and_an_optional_one_anonymous(
    client: httpx.AsyncClient, services: FakeServices, endpoint: Endpoint
) -> None:
    for bad in BAD_TOKENS:
        reply = await send(client, endpoint, token=bad)

        assert_envelope(reply, errors.Unauthenticated if endpoint.required else None)
    sent = [getattr(request, "token", "") for request in services.requests[endpoint.rpc]]
    assert sent == ([] if endpoint.required else [""] * len(BAD_TOKENS))


async def test_an_expired_token_is_401_where_required_and_anonymous_elsewhere(
    client: httpx.AsyncClient, services: FakeServices, token_settings: TokenSettings
) -> None:
    expiring = TokenIssuer(token_settings.model_copy(update={"lifetime_s": 1}))
    expired = {"token": expiring.issue(VIEWER_ID)}
    await client.get("/douyin/feed/", params=expired)
    await asyncio.sleep(1.1)  # Its lifetime passes.

    assert_envelope(
        await client.get("/douyin/publish/status/", params=expired), errors.Unauthenticated
    )
    assert_envelope(await client.get("/douyin/feed/", params=expired), None)
    assert [r.token for r in services.requests["Feed"]] == [expired["token"], ""]


async def test_the_first_token_found_wins_query_then_form_then_header(
    client: httpx.AsyncClient, services: FakeServices, issuer: TokenIssuer
) -> None:
    query, form, header = (issuer.issue(user_id) for user_id in (1, 2, 3))
    path = "/douyin/relation/action/?to_user_id=9&action_type=1"
    authorization = {"Authorization": f"bearer {header}"}

    await client.post(f"{path}&token={query}", data={"token": form}, headers=authorization)
    await client.post(path, data={"token": form}, headers=authorization)
    await client.post(f"{path}&token=", data={"token": form}, headers=authorization)
    await client.post(path, headers=authorization)

    sent = [request.token for request in services.requests["RelationAction"]]
    assert sent == [query, form, form, header]
    refused = await client.post(f"{path}&token=junk", headers=authorization)
    assert_envelope(refused, errors.Unauthenticated)
