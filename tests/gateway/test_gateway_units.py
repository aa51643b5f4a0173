"""The gateway's pure parts: times, limits, media URLs, replies and their documentation."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway import schemas
from gateway.forms import merge_form
from gateway.media_urls import MediaUrls
from gateway.middleware import normalise_path
from gateway.parameters import CLOCK_SKEW_MS, EARLIEST_MS, parse_latest_time
from gateway.rate_limit import RequestLimits, TokenBuckets
from gateway.settings import RateLimitSettings
from pkg.clock import now_ms
from pkg.errors import RateLimited
from protos import (
    comment_pb2,
    favorite_pb2,
    message_pb2,
    relation_pb2,
    user_pb2,
    video_pb2,
)
from tests.gateway.conftest import RunningGateway

NOW_MS = now_ms()
# The machine may be busy: how long an example takes says nothing.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")
past_times = st.integers(EARLIEST_MS, NOW_MS)


@given(past_times)
def test_latest_time_means_the_same_in_milliseconds_and_microseconds(at_ms: int) -> None:
    assert parse_latest_time(str(at_ms)) == at_ms
    assert parse_latest_time(str(at_ms * 1000 + 999)) == at_ms


@given(past_times)
def test_latest_time_in_seconds_means_their_beginning_or_its_fraction(at_ms: int) -> None:
    seconds = at_ms // 1000

    assert parse_latest_time(f" {seconds} ") == seconds * 1000
    assert parse_latest_time(f"{seconds}.{at_ms % 1000:03}") == at_ms


@given(st.integers(CLOCK_SKEW_MS + 60_000, 10**15))
def test_latest_time_far_in_the_future_is_now(ahead_ms: int) -> None:
    later_ms = now_ms() + ahead_ms

    # A unit is judged by magnitude: what is later than the year 5138 cannot be told from a smaller unit.
    if later_ms < 10**14:
        assert parse_latest_time(str(later_ms)) == 0
        assert parse_latest_time(str(later_ms // 1000)) == 0
        assert parse_latest_time(str(later_ms * 1000)) == 0


@given(st.text())
def test_any_text_as_latest_time_is_a_sensible_time_or_now(text: str) -> None:
    parsed = parse_latest_time(text)

    assert parsed == 0 or EARLIEST_MS <= parsed <= now_ms() + CLOCK_SKEW_MS


@pytest.mark.parametrize(
    "junk",
    ["", "0", "-1", "-1700000000", "abc", "1.5e9", "NaN", "inf", "１７", "1" * 400, "0x5", "7"],
)
def test_latest_time_that_makes_no_sense_is_now(junk: str) -> None:
    assert parse_latest_time(junk) == 0


@given(
    rate=st.integers(1, 100),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 2), max_size=60),
)
def test_no_key_gets_more_than_burst_and_rate_allow_nor_waits_in_vain(
    rate: int, burst: int, pauses: list[float]
) -> None:
    now = 0.0
    buckets = TokenBuckets(rate=rate, burst=burst, max_tracked=10, clock=lambda: now)
    for allowed, pause in enumerate(pauses, start=1):
        now += pause
        wait_s = buckets.take("key")
        if wait_s:
            now += wait_s + 1e-9
            assert buckets.take("key") == 0
        assert allowed <= burst + now * rate + 1e-6


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
    asyncio.run(merge_form(scope, receive))

    merged = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
    assert len(dict(merged)) == len(merged)
    assert dict(merged) == query | {
        name: value for name, value in form.items() if not query.get(name)
    }


def test_keys_do_not_share_a_bucket_and_memory_is_bounded() -> None:
    now = 0.0
    buckets = TokenBuckets(rate=1, burst=1, max_tracked=3, clock=lambda: now)

    assert [buckets.take(key) for key in "abcde"] == [0.0] * 5
    assert buckets.take("e") == 1.0
    assert len(buckets) == 3


def test_an_ipv6_household_and_a_mapped_address_count_as_one_address() -> None:
    limits = RequestLimits(
        RateLimitSettings(
            enabled=True,
            user_rate_per_s=1,
            user_burst_requests=1,
            address_rate_per_s=1,
            address_burst_requests=1,
            max_tracked=9,
        )
    )
    for first, second in (("2001:db8::1", "2001:db8::ffff:2"), ("::ffff:10.0.0.1", "10.0.0.1")):
        limits.check_address(first)
        with pytest.raises(RateLimited):
            limits.check_address(second)
    limits.check_address("2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("192.168.1.7:8080", "http", "http://192.168.1.7:8080/media/"),
        ("example.com", "https", "https://example.com:8080/media/"),
        ("my_host-1.local:1", "http", "http://my_host-1.local:8080/media/"),
        ("[fe80::1]:9", "http", "http://[fe80::1]:8080/media/"),
        ("", "http", "http://10.0.0.9:8080/media/"),
        ('evil.com/"><script>', "http", "http://10.0.0.9:8080/media/"),
        ("a@b", "http", "http://10.0.0.9:8080/media/"),
        ("a:b:c", "http", "http://10.0.0.9:8080/media/"),
        ("x" * 300, "http", "http://10.0.0.9:8080/media/"),
    ],
)
def test_media_urls_take_a_proper_host_alone(host: str, scheme: str, expected: str) -> None:
    scope: dict[str, Any] = {
        "scheme": scheme,
        "server": ("10.0.0.9", 8089),
        "headers": [(b"host", host.encode())],
    }

    assert MediaUrls(base_url=None, port=8080).base_for(scope) == expected


def test_a_configured_media_base_wins() -> None:
    for base in ("https://cdn.example.com/media", "https://cdn.example.com/media/"):
        urls = MediaUrls(base_url=base, port=1)
        assert urls.base_for({"headers": []}) == "https://cdn.example.com/media/"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/douyin/feed", "/douyin/feed/"),
        ("/douyin/feed/", "/douyin/feed/"),
        ("//douyin///feed//", "/douyin/feed/"),
        ("/healthz", "/healthz"),
        ("/docs", "/docs"),
    ],
)
def test_paths_are_normalised(path: str, expected: str) -> None:
    assert normalise_path(path) == expected


DOCUMENTED: list[tuple[Descriptor, type[BaseModel]]] = [
    (user_pb2.RegisterReply.DESCRIPTOR, schemas.SessionReply),
    (user_pb2.LoginReply.DESCRIPTOR, schemas.SessionReply),
    (user_pb2.UserInfoReply.DESCRIPTOR, schemas.UserReply),
    (video_pb2.FeedReply.DESCRIPTOR, schemas.FeedReply),
    (video_pb2.PublishActionReply.DESCRIPTOR, schemas.PublishReply),
    (video_pb2.PublishListReply.DESCRIPTOR, schemas.VideoListReply),
    (video_pb2.PublishStatusReply.DESCRIPTOR, schemas.PublishStatusReply),
    (favorite_pb2.FavoriteActionReply.DESCRIPTOR, schemas.Envelope),
    (favorite_pb2.FavoriteListReply.DESCRIPTOR, schemas.VideoListReply),
    (comment_pb2.CommentActionReply.DESCRIPTOR, schemas.CommentReply),
    (comment_pb2.CommentListReply.DESCRIPTOR, schemas.CommentListReply),
    (comment_pb2.CommentFavoriteReply.DESCRIPTOR, schemas.Envelope),
    (relation_pb2.RelationActionReply.DESCRIPTOR, schemas.Envelope),
    (relation_pb2.RelationFollowListReply.DESCRIPTOR, schemas.UserListReply),
    (relation_pb2.RelationFollowerListReply.DESCRIPTOR, schemas.UserListReply),
    (relation_pb2.RelationFriendListReply.DESCRIPTOR, schemas.FriendListReply),
    (message_pb2.MessageChatReply.DESCRIPTOR, schemas.MessageListReply),
    (message_pb2.MessageActionReply.DESCRIPTOR, schemas.Envelope),
]


@pytest.mark.parametrize(
    ("descriptor", "model"),
    DOCUMENTED,
    ids=lambda value: value.__name__ if isinstance(value, type) else value.name,
)
def test_the_documented_reply_is_what_the_service_answers(
    descriptor: Descriptor, model: type[BaseModel]
) -> None:
    assert _flatten_model(model) == _flatten_message(descriptor)


def _flatten_message(descriptor: Descriptor, prefix: str = "") -> set[str]:
    names = set()
    for field in descriptor.fields:
        names.add(prefix + field.name)
        if field.name == "msgType":
            names.add(prefix + "msg_type")
        if field.message_type is not None:
            names |= _flatten_message(field.message_type, f"{prefix}{field.name}.")
    return names


def _flatten_model(model: type[BaseModel], prefix: str = "") -> set[str]:
    names = set()
    for name, field in model.model_fields.items():
        names.add(prefix + name)
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                names |= _flatten_model(candidate, f"{prefix}{name}.")
    return names


TOKEN = {"token"}
PAGE = {"limit", "cursor"}
CONTRACT: dict[tuple[str, str], tuple[set[str], set[str]]] = {
    # (method, path below the prefix): (required parameters, optional parameters)
    ("get", "/feed/"): (set(), {"latest_time"} | TOKEN),
    ("post", "/user/register/"): ({"username", "password"}, set()),
    ("post", "/user/login/"): ({"username", "password"}, set()),
    ("get", "/user/"): ({"user_id"}, TOKEN),
    ("post", "/publish/action/"): (set(), TOKEN),
    ("get", "/publish/list/"): ({"user_id"}, TOKEN | PAGE),
    ("get", "/publish/status/"): (set(), {"video_id"} | TOKEN | PAGE),
    ("post", "/favorite/action/"): ({"video_id", "action_type"}, TOKEN),
    ("get", "/favorite/list/"): ({"user_id"}, TOKEN | PAGE),
    ("post", "/comment/action/"): (
        {"video_id", "action_type"},
        {"comment_text", "comment_id"} | TOKEN,
    ),
    ("get", "/comment/list/"): ({"video_id"}, TOKEN | PAGE),
    ("post", "/comment/favorite/"): ({"comment_id", "action_type"}, TOKEN),
    ("post", "/relation/action/"): ({"to_user_id", "action_type"}, TOKEN),
    ("get", "/relation/follow/list/"): ({"user_id"}, TOKEN | PAGE),
    ("get", "/relation/follower/list/"): ({"user_id"}, TOKEN | PAGE),
    ("get", "/relation/friend/list/"): ({"user_id"}, TOKEN | PAGE),
    ("get", "/message/chat/"): ({"to_user_id"}, {"pre_msg_time"} | TOKEN),
    ("post", "/message/action/"): ({"to_user_id", "action_type", "content"}, TOKEN),
}


async def test_the_documentation_shows_every_endpoint_with_its_parameters_and_reply(
    gateway: RunningGateway,
) -> None:
    document = (await gateway.client.get("/openapi.json")).json()

    found = {
        (method, path.removeprefix("/douyin")): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/douyin/")
    }
    assert found.keys() == CONTRACT.keys()
    for key, (required, optional) in CONTRACT.items():
        parameters = found[key].get("parameters", [])
        assert {p["name"] for p in parameters if p["required"]} == required, key
        assert {p["name"] for p in parameters if not p["required"]} == optional, key
        assert "$ref" in found[key]["responses"]["200"]["content"]["application/json"]["schema"]
        assert not {"400", "422"} & found[key]["responses"].keys()
    form = found["post", "/publish/action/"]["requestBody"]["content"]["multipart/form-data"]
    assert set(form["schema"]["properties"]) == {"title", "data", "token"}
    assert (await gateway.client.get("/docs")).status_code == 200
