"""What endpoints take: paths, query and form parameters, ids, limits, texts."""

import httpx
import pytest

from pkg import errors
from protos.message_pb2 import MessageChatReply
from tests.gateway.conftest import RunningGateway
from tests.gateway.endpoints import ENDPOINTS, Endpoint, assert_envelope, name_of, send
from tests.gateway.fakes import FakeServices
from tests.gateway.raw_http import raw_request


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
async def test_paths_answer_with_and_without_trailing_slash(
    client: httpx.AsyncClient, services: FakeServices, token: str, endpoint: Endpoint
) -> None:
    for path in (endpoint.path, endpoint.path.rstrip("/")):
        reply = await send(client, endpoint._replace(path=path), token=token)

        body = assert_envelope(reply, None)
        assert body["status_msg"] == "成功"
        assert None not in body.values()
        request = services.requests[endpoint.rpc].pop()
        assert {name: getattr(request, name) for name in endpoint.params} == endpoint.params


async def test_a_doubled_slash_of_a_base_url_typed_by_hand_is_forgiven(
    gateway: RunningGateway,
) -> None:
    reply = await raw_request(gateway.port, b"GET //douyin//feed/ HTTP/1.1\r\nHost: a\r\n\r\n")

    assert reply.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
async def test_missing_and_malformed_parameters_are_business_errors_that_name_them(
    client: httpx.AsyncClient, services: FakeServices, token: str, endpoint: Endpoint
) -> None:
    for name, value in endpoint.params.items():
        # /user/ without a user_id is about the viewer.
        missing = (None,) if endpoint.path != "/user/" else ()
        for bad in (*missing, "x") if isinstance(value, int) else missing:
            reply = await send(client, endpoint, token=token, **{name: bad})

            assert name in assert_envelope(reply, errors.InvalidParameter)["status_msg"]
    assert services.requests[endpoint.rpc] == []


@pytest.mark.parametrize(
    "bad", ["0", "-1", "9007199254740992", "1.0", "1e3", "+1", " 1", "1_0", "１", "x"]
)
async def test_ids_are_whole_numbers_below_2_to_the_53(client: httpx.AsyncClient, bad: str) -> None:
    reply = await client.get("/douyin/user/", params={"user_id": bad})

    assert "user_id" in assert_envelope(reply, errors.InvalidParameter)["status_msg"]


async def test_an_id_that_is_required_is_not_empty(client: httpx.AsyncClient) -> None:
    reply = await client.get("/douyin/publish/list/", params={"user_id": ""})

    assert "user_id" in assert_envelope(reply, errors.InvalidParameter)["status_msg"]


async def test_limits_of_lists_are_at_most_what_the_largest_list_allows_and_may_be_left_empty(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    for limit, error in (("1", None), ("500", None), ("", None)):
        assert_envelope(await client.get(f"/douyin/comment/list?video_id=1&limit={limit}"), error)
    for bad in ("0", "501", "-1", "x"):
        reply = await client.get(f"/douyin/comment/list?video_id=1&limit={bad}")
        assert "limit" in assert_envelope(reply, errors.InvalidParameter)["status_msg"]

    assert [r.limit for r in services.requests["CommentList"]] == [1, 500, 0]


async def test_an_empty_or_missing_pre_msg_time_opens_the_chat(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    for query in ("", "&pre_msg_time=", "&pre_msg_time=0", "&pre_msg_time=1700000000000"):
        await client.get(f"/douyin/message/chat/?token={token}&to_user_id=2{query}")

    sent = [request.pre_msg_time for request in services.requests["MessageChat"]]
    assert sent == [0, 0, 0, 1700000000000]


async def test_a_chat_is_paged_like_every_list(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    services.answers["MessageChat"] = MessageChatReply(next_cursor="AAAAAAAAA-g")
    path = f"/douyin/message/chat/?token={token}&to_user_id=2"

    first = assert_envelope(await client.get(path), None)
    await client.get(f"{path}&limit=30&cursor={first['next_cursor']}")
    for bad in ("limit=0", "limit=x", "limit=501", f"cursor={'A' * 257}"):
        assert_envelope(await client.get(f"{path}&{bad}"), errors.InvalidParameter)

    sent = [(request.limit, request.cursor) for request in services.requests["MessageChat"]]
    assert sent == [(0, ""), (30, "AAAAAAAAA-g")]


async def test_a_user_card_without_an_id_is_the_viewers_whose_token_is_required(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    assert_envelope(await client.get("/douyin/user/", params={"token": token}), None)
    assert_envelope(
        await client.get("/douyin/user", headers={"Authorization": f"Bearer {token}"}), None
    )
    assert_envelope(await client.get(f"/douyin/user/?user_id=&token={token}"), None)
    for query in ("", "?token=", "?token=junk"):
        assert_envelope(await client.get(f"/douyin/user/{query}"), errors.Unauthenticated)

    asked_for = [request.user_id for request in services.requests["UserInfo"]]
    assert asked_for == [0, 0, 0]  # To the service, too, that is the viewer.


async def test_a_get_with_a_form_in_its_body_is_answered_by_its_query(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    reply = await client.request(
        "GET", "/douyin/publish/list/?user_id=5", data={"user_id": "6", "token": "junk"}
    )

    assert_envelope(reply, None)
    assert services.last("PublishList").user_id == 5
