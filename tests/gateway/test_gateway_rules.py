"""The rules that hold for every endpoint, as a client sees them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest

from gateway.errors import render_error_table
from pkg import errors
from pkg.token import TokenIssuer, TokenSettings
from protos.comment_pb2 import Comment, CommentActionReply
from protos.relation_pb2 import FriendUser, RelationFriendListReply
from protos.user_pb2 import LoginReply, User, UserInfoReply
from protos.video_pb2 import FeedReply, Video
from tests.gateway.conftest import VIEWER_ID, RunningGateway, StartGateway
from tests.gateway.fakes import FakeServices


class Endpoint(NamedTuple):
    method: str
    path: str
    params: dict[str, Any]
    rpc: str
    required: bool = False  # whether it requires a token


ENDPOINTS = [
    Endpoint("GET", "/feed/", {}, "Feed"),
    Endpoint("POST", "/user/register/", {"username": "a", "password": "b"}, "Register"),
    Endpoint("POST", "/user/login/", {"username": "a", "password": "b"}, "Login"),
    Endpoint("GET", "/user/", {"user_id": 1}, "UserInfo"),
    Endpoint("GET", "/publish/list/", {"user_id": 1}, "PublishList"),
    Endpoint("GET", "/publish/status/", {}, "PublishStatus", required=True),
    Endpoint(
        "POST", "/favorite/action/", {"video_id": 1, "action_type": 1}, "FavoriteAction", True
    ),
    Endpoint("GET", "/favorite/list/", {"user_id": 1}, "FavoriteList"),
    Endpoint(
        "POST",
        "/comment/action/",
        {"video_id": 1, "action_type": 1, "comment_text": "好"},
        "CommentAction",
        required=True,
    ),
    Endpoint(
        "POST",
        "/comment/action/",
        {"video_id": 1, "action_type": 2, "comment_id": 5},
        "CommentAction",
        required=True,
    ),
    Endpoint("GET", "/comment/list/", {"video_id": 1}, "CommentList"),
    Endpoint(
        "POST", "/comment/favorite/", {"comment_id": 1, "action_type": 2}, "CommentFavorite", True
    ),
    Endpoint(
        "POST", "/relation/action/", {"to_user_id": 1, "action_type": 2}, "RelationAction", True
    ),
    Endpoint("GET", "/relation/follow/list/", {"user_id": 1}, "RelationFollowList"),
    Endpoint("GET", "/relation/follower/list/", {"user_id": 1}, "RelationFollowerList"),
    Endpoint("GET", "/relation/friend/list/", {"user_id": 1}, "RelationFriendList", True),
    Endpoint("GET", "/message/chat/", {"to_user_id": 1}, "MessageChat", required=True),
    Endpoint(
        "POST",
        "/message/action/",
        {"to_user_id": 1, "action_type": 1, "content": " 你好 "},
        "MessageAction",
        required=True,
    ),
]


def assert_envelope(response: httpx.Response, error: type[errors.DomainError] | None) -> Any:
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert isinstance(body["status_msg"], str)
    assert body["status_msg"]
    expected = (0, 200) if error is None else (error.status_code, error.http_status)
    assert (body["status_code"], response.status_code) == expected
    return body


async def test_paths_answer_with_and_without_trailing_slash(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    for method, path, params, rpc, _ in ENDPOINTS:
        for form in (path, path.rstrip("/")):
            reply = await client.request(method, "/douyin" + form, params=params | {"token": token})

            body = assert_envelope(reply, None)
            assert body["status_msg"] == "成功"
            assert None not in body.values()
            request = services.requests[rpc].pop()
            assert {name: getattr(request, name) for name in params} == params


async def test_missing_and_malformed_parameters_are_business_errors_that_name_them(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    for method, path, params, rpc, _ in ENDPOINTS:
        for name, value in params.items():
            rest = {key: value for key, value in params.items() if key != name}
            for bad in ({}, {name: "x"}) if isinstance(value, int) else ({},):
                reply = await client.request(
                    method, "/douyin" + path, params=rest | bad | {"token": token}
                )

                assert name in assert_envelope(reply, errors.InvalidParameter)["status_msg"]
        assert services.requests[rpc] == []


async def test_post_parameters_come_in_a_form_too(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    for _, path, params, rpc, _ in (e for e in ENDPOINTS if e.method == "POST"):
        reply = await client.post("/douyin" + path, data=params | {"token": token})

        assert_envelope(reply, None)
        request = services.requests[rpc].pop()
        assert {name: getattr(request, name) for name in params} == params


@pytest.mark.parametrize("bad", ["", "junk", "a.b.c", "x" * 3000, "令牌"])
async def test_a_required_token_that_is_missing_or_broken_is_401_and_an_optional_one_anonymous(
    client: httpx.AsyncClient, services: FakeServices, bad: str
) -> None:
    for method, path, params, rpc, required in ENDPOINTS:
        reply = await client.request(method, "/douyin" + path, params=params | {"token": bad})

        assert_envelope(reply, errors.Unauthenticated if required else None)
        assert [getattr(r, "token", "") for r in services.requests[rpc]] == [""] * (not required)


async def test_an_expired_token_is_401_where_required_and_anonymous_elsewhere(
    client: httpx.AsyncClient, services: FakeServices, token_settings: TokenSettings
) -> None:
    expiring = TokenIssuer(token_settings.model_copy(update={"lifetime_s": 1}))
    expired = {"token": expiring.issue(VIEWER_ID)}
    await client.get("/douyin/feed/", params=expired)
    await asyncio.sleep(1.1)

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


async def test_the_query_wins_over_the_form(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    await client.post("/douyin/user/login/?username=q", data={"username": "f", "password": "p"})

    assert (services.last("Login").username, services.last("Login").password) == ("q", "p")


async def test_ids_are_whole_numbers_below_2_to_the_53(client: httpx.AsyncClient) -> None:
    for bad in ("0", "-1", "9007199254740992", "1.0", "1e3", "+1", " 1", "1_0", "１", "x", ""):
        reply = await client.get("/douyin/user/", params={"user_id": bad})

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


async def test_large_ids_stay_exact_numbers(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    largest = 2**53 - 1
    services.answers["UserInfo"] = UserInfoReply(user=User(id=largest))

    body = (await client.get(f"/douyin/user/?user_id={largest}")).json()

    assert services.last("UserInfo").user_id == largest
    assert body["user"]["id"] == largest


async def test_zero_values_are_written_and_nothing_is_null(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    services.answers["Feed"] = FeedReply(video_list=[Video(id=1)])

    response = await client.get("/douyin/feed")

    assert b"null" not in response.content
    (video,) = response.json()["video_list"]
    assert video == {
        "id": 1,
        "author": {
            "id": 0,
            "name": "",
            "follow_count": 0,
            "follower_count": 0,
            "is_follow": False,
            "avatar": "",
            "background_image": "",
            "signature": "",
            "total_favorited": 0,
            "work_count": 0,
            "favorite_count": 0,
        },
        "play_url": "",
        "cover_url": "",
        "favorite_count": 0,
        "comment_count": 0,
        "is_favorite": False,
        "title": "",
        "share_count": 0,
        "create_time": 0,
    }
    assert (await client.get("/douyin/comment/list?video_id=1")).json()["comment_list"] == []


async def test_a_comment_is_in_the_reply_to_its_creation_and_not_to_its_deletion(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    path = f"/douyin/comment/action/?token={token}&video_id=1"
    services.answers["CommentAction"] = CommentActionReply(comment=Comment(id=3, content="好"))
    created = await client.post(f"{path}&action_type=1&comment_text=x")
    services.answers["CommentAction"] = CommentActionReply()
    deleted = await client.post(f"{path}&action_type=2&comment_id=3")

    assert created.json()["comment"]["content"] == "好"
    assert assert_envelope(deleted, None) == {"status_code": 0, "status_msg": "成功"}


async def test_a_friend_carries_the_direction_under_both_spellings(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    services.answers["RelationFriendList"] = RelationFriendListReply(
        user_list=[FriendUser(id=5, msgType=1)]
    )

    reply = await client.get(f"/douyin/relation/friend/list/?token={token}&user_id={VIEWER_ID}")

    (friend,) = reply.json()["user_list"]
    assert (friend["msgType"], friend["msg_type"], friend["message"]) == (1, 1, "")


async def test_media_urls_have_the_host_that_the_request_came_to(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    services.answers["Feed"] = FeedReply(
        video_list=[Video(play_url="videos/a.mp4", author=User(avatar="avatars/b.png"))]
    )

    reply = await client.get("/douyin/feed/", headers={"Host": "192.168.1.7:8080"})

    (video,) = reply.json()["video_list"]
    assert video["play_url"] == "http://192.168.1.7:8080/media/videos/a.mp4"
    assert video["author"]["avatar"] == "http://192.168.1.7:8080/media/avatars/b.png"
    assert video["cover_url"] == ""


async def test_unknown_paths_are_404_in_the_envelope(client: httpx.AsyncClient) -> None:
    for path in ("/", "/nope", "/douyin", "/douyin/", "/douyin/nope/", "/douyin/feed/x"):
        assert_envelope(await client.get(path), errors.RouteNotFound)


async def test_wrong_methods_are_405_in_the_envelope(client: httpx.AsyncClient) -> None:
    for method, path in (
        ("POST", "/douyin/feed"),
        ("GET", "/douyin/user/login/"),
        ("PUT", "/healthz"),
    ):
        assert_envelope(await client.request(method, path), errors.MethodNotAllowed)


async def test_a_doubled_slash_of_a_base_url_typed_by_hand_is_forgiven(
    gateway: RunningGateway,
) -> None:
    reply = await raw_request(gateway.port, b"GET //douyin//feed/ HTTP/1.1\r\nHost: a\r\n\r\n")

    assert reply.startswith(b"HTTP/1.1 200")


async def test_every_error_of_a_service_reaches_the_client_as_its_envelope(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    for error in errors.list_error_classes():
        services.answers["Feed"] = error(detail="host 10.0.0.1 SELECT password")

        reply = await client.get("/douyin/feed/")

        assert assert_envelope(reply, error)["status_msg"] == error.default_message
        assert ("retry-after" in reply.headers) == (error.http_status in (429, 503))
        assert b"SELECT" not in reply.content


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
        await asyncio.sleep(5)

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


async def test_the_request_id_comes_in_goes_on_and_comes_back(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    response = await client.get("/douyin/feed/", headers={"X-Request-ID": "app-1.2_3"})

    assert response.headers["x-request-id"] == "app-1.2_3"
    assert services.metadata["Feed"]["x-request-id"] == "app-1.2_3"


async def test_an_improper_request_id_is_replaced(client: httpx.AsyncClient) -> None:
    for bad in ("", "a b", "x" * 65, "a;b", "<script>"):
        reply = await client.get("/nope", headers={"X-Request-ID": bad})

        assert len(reply.headers["x-request-id"]) == 32


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


async def test_what_is_no_http_gets_the_envelope(gateway: RunningGateway) -> None:
    for request in (
        b"NONSENSE\r\n\r\n",
        "GET /douyin/feed/?latest_time=现在 HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ):
        head, _, body = (await raw_request(gateway.port, request)).partition(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 200 OK")
        assert json.loads(body)["status_code"] == errors.InvalidParameter.status_code


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


async def test_texts_arrive_as_sent(client: httpx.AsyncClient, services: FakeServices) -> None:
    password = " p+ä&%=\t😀\x01 "

    await client.post("/douyin/user/login", params={"username": "é😀中", "password": password})
    in_query = services.last("Login")
    await client.post("/douyin/user/login", data={"username": "é😀中", "password": password})

    assert services.last("Login") == in_query
    assert (in_query.username, in_query.password) == ("é😀中", password)


async def test_login_tells_the_service_the_address_that_a_trusted_proxy_tells(
    client: httpx.AsyncClient, services: FakeServices, start_gateway: StartGateway
) -> None:
    services.answers["Login"] = LoginReply(user_id=3, token="t")
    forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}

    reply = await client.post("/douyin/user/login?username=a&password=b", headers=forwarded)
    trusted = services.metadata["Login"]["x-client-address"]
    async with start_gateway(trusted_proxies=[]) as careful:
        await careful.client.post("/douyin/user/login?username=a&password=b", headers=forwarded)

    assert reply.json() == {"status_code": 0, "status_msg": "成功", "user_id": 3, "token": "t"}
    assert trusted == "203.0.113.9"
    assert services.metadata["Login"]["x-client-address"] == "127.0.0.1"


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


def test_the_table_of_errors_holds_every_class() -> None:
    table = render_error_table()

    for error in errors.list_error_classes():
        assert f"| {error.status_code} | {error.http_status} | {error.grpc_code.name} |" in table
        assert error.http_status not in (400, 422)


async def raw_request(port: int, data: bytes) -> bytes:
    """Send bytes as they are and return what comes back until the other side is silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    reply = b""
    try:
        async with asyncio.timeout(5):
            while not reply.endswith(b"}"):
                piece = await reader.read(65536)
                if not piece:
                    break
                reply += piece
    finally:
        writer.close()
    return reply
