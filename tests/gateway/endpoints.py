"""Every endpoint that takes its parameters in the query, and the reply that all of them give."""

from typing import Any, NamedTuple

import httpx

from pkg import errors


class Endpoint(NamedTuple):
    """One call that succeeds."""

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


def name_of(endpoint: Endpoint) -> str:
    """Return what a failed test is called after."""
    kind = f" {endpoint.params['action_type']}" if "action_type" in endpoint.params else ""
    return f"{endpoint.method} {endpoint.path}{kind}"


async def send(client: httpx.AsyncClient, endpoint: Endpoint, **changes: Any) -> httpx.Response:
    """Call an endpoint; `changes` replace parameters, None leaves one out."""
    params = {k: v for k, v in (endpoint.params | changes).items() if v is not None}
    return await client.request(endpoint.method, "/douyin" + endpoint.path, params=params)


def assert_envelope(response: httpx.Response, error: type[errors.DomainError] | None) -> Any:
    """Check that a reply is a success, or this error, and return its body."""
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert isinstance(body["status_msg"], str)
    assert body["status_msg"]
    expected = (0, 200) if error is None else (error.status_code, error.http_status)
    assert (body["status_code"], response.status_code) == expected
    return body
