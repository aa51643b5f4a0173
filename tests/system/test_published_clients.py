"""What clients and test suites that others have published for this contract rely on, through nginx."""

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.app import (
    Json,
    PublishedClient,
    describe,
    ids_of,
    read_envelope,
    read_refusal,
    succeeded,
)
from tests.system.publishing import wait_published
from tests.system.system import System

Enter = Callable[[], Awaitable[PublishedClient]]
DO, UNDO = 1, 2


@pytest.fixture
def stranger(system: System, http: httpx.AsyncClient) -> PublishedClient:
    """A client without an account."""
    return PublishedClient(http, system.base_url, system.spoken)


@pytest.fixture
def enter(system: System, http: httpx.AsyncClient) -> Enter:
    """Give a client that has just registered."""
    return lambda: PublishedClient(http, system.base_url, system.spoken).enter(unique_name())


@pytest.fixture
async def client(enter: Enter) -> PublishedClient:
    return await enter()


@pytest.fixture
async def video(client: PublishedClient, small_video: Path) -> Json:
    """A published video, the newest of the feed."""
    return await wait_published(client, await client.publish(small_video))


def unique_name() -> str:
    return f"douyin{uuid.uuid4().hex[:20]}"


def assert_playable(videos: list[Json]) -> None:
    assert videos
    for card in videos:
        assert card["id"] > 0
        assert card["author"]["id"] > 0
        assert card["play_url"]
        assert card["cover_url"]


async def test_a_client_registers_logs_in_and_sees_itself_by_its_token_alone(
    stranger: PublishedClient,
) -> None:
    name = unique_name()
    registered = await stranger.post("douyin/user/register/", username=name, password=name)
    stranger.token = ""
    login = await stranger.post("douyin/user/login/", username=name, password=name)
    stranger.token = login["token"]

    card = (await stranger.get("douyin/user/"))["user"]

    assert registered["token"]
    assert registered["user_id"] == login["user_id"] == card["id"] > 0
    assert card["name"] == name


async def test_a_taken_name_is_told_by_an_empty_token_and_the_client_logs_in(
    client: PublishedClient, stranger: PublishedClient
) -> None:
    taken = await stranger.ask(
        "POST", "douyin/user/register/", username=client.name, password=client.name
    )
    again = await stranger.enter(client.name)

    assert taken["status_code"] != 0
    assert (taken["token"], taken["user_id"]) == ("", 0)
    assert again.user_id == client.user_id


async def test_without_a_token_nobody_is_the_viewer(stranger: PublishedClient) -> None:
    read_refusal(await stranger.send("GET", "douyin/user/"), 401)


async def test_a_published_video_is_in_the_authors_list_and_in_the_feed_at_once(
    client: PublishedClient, stranger: PublishedClient, small_video: Path
) -> None:
    with small_video.open("rb") as file:
        reply = await client.send(
            "POST",
            "douyin/publish/action/",
            data={"title": "Bear"},
            files={"data": ("bear.mp4", file)},
        )
    assert reply.status_code == 200, describe(reply)
    video_id = succeeded(read_envelope(reply))["video_id"]

    own = await client.videos_of(client.user_id)
    feed = (await stranger.feed())["video_list"]

    assert ids_of(own) == [video_id]
    assert video_id in ids_of(feed)
    assert_playable(own)
    assert_playable(feed)


async def test_a_like_is_in_the_list_at_once(client: PublishedClient, video: Json) -> None:
    await client.post("douyin/favorite/action/", video_id=video["id"], action_type=DO)

    liked = (await client.get("douyin/favorite/list/", user_id=client.user_id))["video_list"]

    assert ids_of(liked) == [video["id"]]
    assert_playable(liked)


async def test_a_like_is_seen_by_others_at_once(
    client: PublishedClient, stranger: PublishedClient, video: Json
) -> None:
    await client.post("douyin/favorite/action/", video_id=video["id"], action_type=DO)

    (card,) = [v for v in (await stranger.feed())["video_list"] if v["id"] == video["id"]]

    assert card["favorite_count"] == 1


async def test_a_comment_is_written_listed_and_deleted(
    client: PublishedClient, video: Json
) -> None:
    about: dict[str, Any] = {"video_id": video["id"]}
    written = await client.post(
        "douyin/comment/action/", **about, action_type=DO, comment_text="测试评论"
    )
    listed = (await client.get("douyin/comment/list/", **about))["comment_list"]
    deleted = await client.post(
        "douyin/comment/action/", **about, action_type=UNDO, comment_id=written["comment"]["id"]
    )
    left = (await client.get("douyin/comment/list/", **about))["comment_list"]

    assert written["comment"]["id"] > 0
    assert written["comment"]["user"]["id"] == client.user_id
    assert listed == [written["comment"]]
    assert listed[0]["content"] == "测试评论"
    assert listed[0]["create_date"]
    assert "comment" not in deleted
    assert left == []


async def test_a_follow_is_seen_from_both_sides_at_once(
    client: PublishedClient, enter: Enter
) -> None:
    other = await enter()
    await client.post("douyin/relation/action/", to_user_id=other.user_id, action_type=DO)

    following = await client.get("douyin/relation/follow/list/", user_id=client.user_id)
    followers = await other.get("douyin/relation/follower/list/", user_id=other.user_id)

    assert ids_of(following["user_list"]) == [other.user_id]
    assert ids_of(followers["user_list"]) == [client.user_id]


async def test_who_follows_another_may_write_and_both_see_it_at_once(
    client: PublishedClient, enter: Enter
) -> None:
    other = await enter()
    await client.post("douyin/relation/action/", to_user_id=other.user_id, action_type=DO)

    await client.post(
        "douyin/message/action/", to_user_id=other.user_id, action_type=DO, content="Send to B"
    )

    for reader, partner in ((client, other), (other, client)):
        reply = await reader.get("douyin/message/chat/", to_user_id=partner.user_id)
        (message,) = reply["message_list"]
        assert message["content"] == "Send to B"
        assert (message["from_user_id"], message["to_user_id"]) == (client.user_id, other.user_id)
        assert message["create_time"] > 0


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("publish/list/", "video_list"),
        ("favorite/list/", "video_list"),
        ("comment/list/", "comment_list"),
        ("relation/follow/list/", "user_list"),
        ("relation/follower/list/", "user_list"),
        ("relation/friend/list/", "user_list"),
        ("message/chat/", "message_list"),
    ],
)
async def test_a_list_that_cannot_be_shown_is_empty_in_the_error(
    client: PublishedClient, path: str, field: str
) -> None:
    for unknown in (2**53 - 1, "x"):
        reply = await client.ask(
            "GET", f"douyin/{path}", user_id=unknown, video_id=unknown, to_user_id=unknown
        )

        assert reply["status_code"] != 0
        assert reply[field] == []
