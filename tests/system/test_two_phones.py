"""Two people with two phones: they like, befriend each other, comment, and chat by polling and by WebSocket."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.exceptions import InvalidStatus

from tests.eventually import eventually
from tests.system.app import App, Json, ids_of, read_envelope
from tests.system.publishing import wait_published
from tests.system.system import System

Phone = Callable[[], App]
# The actor sees an action within a second and everybody else within two; a busy machine gets more.
SEEN_WITHIN_S = 20


async def befriend(one: App, other: App) -> None:
    """Let two people follow each other, and wait until both may write."""
    await one.post("douyin/relation/action/", to_user_id=other.user_id, action_type=1)
    await other.post("douyin/relation/action/", to_user_id=one.user_id, action_type=1)

    async def are_friends() -> bool:
        friends = [await friends_of(one), await friends_of(other)]
        return [[friend["id"] for friend in list_] for list_ in friends] == [
            [other.user_id],
            [one.user_id],
        ]

    await eventually(are_friends, within_s=SEEN_WITHIN_S)


async def friends_of(app: App) -> list[Json]:
    found: list[Json] = (await app.get("douyin/relation/friend/list/", user_id=app.user_id))[
        "user_list"
    ]
    return found


async def say(app: App, other: App, content: str) -> None:
    app.spoken.add(content)
    await app.post(
        "douyin/message/action/", to_user_id=other.user_id, action_type=1, content=content
    )


async def poll(app: App, other: App, pre_msg_time: int) -> list[Json]:
    reply = await app.get(
        "douyin/message/chat/", to_user_id=other.user_id, pre_msg_time=pre_msg_time
    )
    found: list[Json] = reply["message_list"]
    return found


def contents(messages: list[Json]) -> list[str]:
    return [message["content"] for message in messages]


async def test_a_like_shows_in_flag_list_and_numbers_and_goes_away_again(
    author: App, phone: Phone, small_video: Path
) -> None:
    fan = await phone().register()
    video_id = (await wait_published(author, await author.publish(small_video)))["id"]

    for _ in range(2):  # Doing twice counts once.
        await fan.post("douyin/favorite/action/", video_id=video_id, action_type=1)

    async def is_liked() -> bool:
        (card,) = await fan.videos_of(author.user_id)
        liked = (await fan.get("douyin/favorite/list/", user_id=fan.user_id))["video_list"]
        numbers = [
            card["favorite_count"],
            (await author.user(author.user_id))["total_favorited"],
            (await author.user(fan.user_id))["favorite_count"],
        ]
        return card["is_favorite"] and ids_of(liked) == [video_id] and numbers == [1, 1, 1]

    await eventually(is_liked, within_s=SEEN_WITHIN_S)
    assert (await author.videos_of(author.user_id))[0]["is_favorite"] is False

    await fan.post("douyin/favorite/action/", video_id=video_id, action_type=2)

    async def is_gone() -> bool:
        (card,) = await fan.videos_of(author.user_id)
        liked = (await fan.get("douyin/favorite/list/", user_id=fan.user_id))["video_list"]
        return not card["is_favorite"] and card["favorite_count"] == 0 and liked == []

    await eventually(is_gone, within_s=SEEN_WITHIN_S)


async def test_following_shows_in_both_lists_and_both_numbers(phone: Phone) -> None:
    follower, followed = await phone().register(), await phone().register()

    await follower.post("douyin/relation/action/", to_user_id=followed.user_id, action_type=1)

    async def shows() -> bool:
        following = await follower.get("douyin/relation/follow/list/", user_id=follower.user_id)
        followers = await followed.get("douyin/relation/follower/list/", user_id=followed.user_id)
        card = await follower.user(followed.user_id)
        own = await follower.user(follower.user_id)
        return (
            ids_of(following["user_list"]) == [followed.user_id]
            and ids_of(followers["user_list"]) == [follower.user_id]
            and card["is_follow"]
            and (card["follower_count"], own["follow_count"]) == (1, 1)
        )

    await eventually(shows, within_s=SEEN_WITHIN_S)
    assert await friends_of(follower) == []


async def test_the_other_side_sees_a_follow_and_a_like_when_the_reply_arrives(
    author: App, phone: Phone, small_video: Path
) -> None:
    """As published clients look: at once, with the other phone, at lists, flags and numbers."""
    fan, guest = await phone().register(), await phone().register()
    video_id = (await wait_published(author, await author.publish(small_video)))["id"]

    for action_type, followers, count in ((1, [fan.user_id], 1), (2, [], 0)):
        await fan.post(
            "douyin/relation/action/", to_user_id=author.user_id, action_type=action_type
        )
        listed = await author.get("douyin/relation/follower/list/", user_id=author.user_id)
        assert ids_of(listed["user_list"]) == followers
        assert (await guest.user(author.user_id))["follower_count"] == count
        assert (await guest.user(fan.user_id))["follow_count"] == count
        assert (await fan.user(author.user_id))["is_follow"] is (action_type == 1)

    for action_type, liked, count in ((1, [video_id], 1), (2, [], 0)):
        await fan.post("douyin/favorite/action/", video_id=video_id, action_type=action_type)
        listed = await guest.get("douyin/favorite/list/", user_id=fan.user_id)
        assert ids_of(listed["video_list"]) == liked
        (card,) = await guest.videos_of(author.user_id)
        assert card["favorite_count"] == count
        assert (await guest.user(author.user_id))["total_favorited"] == count
        (card,) = await fan.videos_of(author.user_id)
        assert card["is_favorite"] is (action_type == 1)


async def test_who_follows_another_may_write_to_them(phone: Phone) -> None:
    fan, star = await phone().register(), await phone().register()
    wanted: Json = {"to_user_id": star.user_id, "action_type": 1, "content": "你好"}
    refused = await fan.ask("POST", "douyin/message/action/", **wanted)
    assert (refused["status_code"], refused["status_msg"]) == (60001, "先关注对方,才能发消息")

    await fan.post("douyin/relation/action/", to_user_id=star.user_id, action_type=1)
    await say(fan, star, "你好")

    assert contents(await poll(star, fan, 0)) == ["你好"]


async def test_comments_show_under_their_author_and_can_be_liked_and_deleted(
    author: App, phone: Phone, small_video: Path
) -> None:
    guest = await phone().register()
    video_id = (await wait_published(author, await author.publish(small_video)))["id"]

    added = await guest.post(
        "douyin/comment/action/", video_id=video_id, action_type=1, comment_text=" 好看 😀 "
    )
    comment = added["comment"]
    await author.post("douyin/comment/favorite/", comment_id=comment["id"], action_type=1)

    (seen,) = (await author.get("douyin/comment/list/", video_id=video_id))["comment_list"]
    assert (seen["content"], seen["user"]["id"]) == ("好看 😀", guest.user_id)
    assert (seen["like_count"], seen["is_favorite"]) == (1, True)
    assert (await guest.videos_of(author.user_id))[0]["comment_count"] == 1
    stranger = await phone().register()
    refused = await stranger.ask(
        "POST",
        "douyin/comment/action/",
        video_id=video_id,
        action_type=2,
        comment_id=comment["id"],
    )
    assert refused["status_code"] != 0

    deleted = await author.post(
        "douyin/comment/action/", video_id=video_id, action_type=2, comment_id=comment["id"]
    )

    assert "comment" not in deleted
    assert (await guest.get("douyin/comment/list/", video_id=video_id))["comment_list"] == []
    assert (await guest.videos_of(author.user_id))[0]["comment_count"] == 0


async def test_friends_chat_by_polling_and_a_reopened_chat_shows_everything(phone: Phone) -> None:
    one, other = await phone().register(), await phone().register()
    stranger = await phone().register()
    await befriend(one, other)

    await say(one, other, "在吗?今晚一起吃饭")
    await say(one, other, "七点老地方见 🍜")
    arrived = await poll(other, one, 0)
    await say(other, one, "好的,我会准时到的")

    assert contents(arrived) == ["在吗?今晚一起吃饭", "七点老地方见 🍜"]
    # Each phone draws its own messages itself: a poll brings only the other's.
    assert await poll(other, one, arrived[-1]["create_time"]) == []
    answer = await poll(one, other, arrived[-1]["create_time"])
    assert contents(answer) == ["好的,我会准时到的"]
    assert await poll(one, other, answer[-1]["create_time"]) == []
    for _ in range(2):
        assert contents(await poll(one, other, 0)) == [*contents(arrived), *contents(answer)]
    (friend,) = await friends_of(one)
    assert (friend["message"], friend["msgType"], friend["msg_type"]) == ("好的,我会准时到的", 0, 0)
    (friend,) = await friends_of(other)
    assert (friend["message"], friend["msgType"], friend["msg_type"]) == ("好的,我会准时到的", 1, 1)
    refused = await stranger.ask(
        "POST",
        "douyin/message/action/",
        to_user_id=one.user_id,
        action_type=1,
        content="你好,我们认识吗",
    )
    assert refused["status_code"] != 0


async def test_a_websocket_pushes_what_a_poll_would_bring(system: System, phone: Phone) -> None:
    one, other = await phone().register(), await phone().register()
    await befriend(one, other)
    await say(one, other, "先发一条普通消息")
    (first,) = await poll(other, one, 0)
    address = system.base_url.replace("http://", "ws://") + "douyin/message/ws"
    query = httpx.QueryParams(
        {
            "token": other.token,
            "to_user_id": one.user_id,
            "pre_msg_time": first["create_time"],
        }
    )

    async with websockets.connect(f"{address}?{query}") as socket:
        await say(one, other, "这一条会被推送过来")
        await say(other, one, "我自己的消息也会出现")
        async with asyncio.timeout(SEEN_WITHIN_S):
            pushed = [json.loads(await socket.recv()) for _ in range(2)]

    assert contents(pushed) == ["这一条会被推送过来", "我自己的消息也会出现"]
    assert [set(message) for message in pushed] == [set(first)] * 2
    assert pushed[0]["create_time"] < pushed[1]["create_time"]


async def test_a_websocket_without_a_token_is_refused_with_401(system: System) -> None:
    address = system.base_url.replace("http://", "ws://") + "douyin/message/ws?to_user_id=1"

    with pytest.raises(InvalidStatus) as refusal:
        await websockets.connect(address)

    assert refusal.value.response.status_code == 401


async def test_every_service_refuses_who_is_not_logged_in(viewer: App) -> None:
    calls: dict[str, dict[str, object]] = {
        "favorite/action": {"video_id": 1, "action_type": 1},
        "relation/action": {"to_user_id": 1, "action_type": 1},
        "comment/action": {"video_id": 1, "action_type": 1, "comment_text": "x"},
        "comment/favorite": {"comment_id": 1, "action_type": 1},
        "message/action": {"to_user_id": 1, "action_type": 1, "content": "x"},
    }
    for path, params in calls.items():
        response = await viewer.send(
            "POST", f"douyin/{path}/", headers=None, files=None, data=None, **params
        )

        assert response.status_code == 401, path
        assert read_envelope(response)["status_code"] != 0
