"""The main job through nginx: what a person does with the app, over HTTP and over HTTPS."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.system.app import App, ids_of
from tests.system.publishing import wait_published

Phone = Callable[..., App]
SCHEMES = ["http", "https"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_published_video_is_found_and_played(
    phone: Phone, small_video: Path, scheme: str
) -> None:
    author = await (await phone(scheme).register()).login()

    video_id = await author.publish(small_video, "第一个视频")
    card = await wait_published(author, video_id)

    viewer = phone(scheme)
    assert video_id in ids_of((await viewer.feed())["video_list"])
    assert card["play_url"].startswith(author.base_url)
    whole = await viewer.load(card["play_url"])
    part = await viewer.load(card["play_url"], Range="bytes=100-199")
    assert (whole.status_code, part.status_code) == (200, 206)
    assert part.content == whole.content[100:200]
    assert (await viewer.load(card["cover_url"])).headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_like_a_follow_and_a_comment_are_seen_by_the_other_side(
    phone: Phone, small_video: Path, scheme: str
) -> None:
    author, fan = await phone(scheme).register(), await phone(scheme).register()
    video_id = await author.publish(small_video)
    await wait_published(author, video_id)

    await fan.post("douyin/favorite/action/", video_id=video_id, action_type=1)
    await fan.post("douyin/relation/action/", to_user_id=author.user_id, action_type=1)
    await fan.post("douyin/comment/action/", video_id=video_id, action_type=1, comment_text="好看")

    async def all_is_counted() -> bool:
        (card,) = await author.videos_of(author.user_id)
        followers = await author.get("douyin/relation/follower/list/", user_id=author.user_id)
        assert (card["favorite_count"], card["comment_count"]) == (1, 1)
        assert [user["id"] for user in followers["user_list"]] == [fan.user_id]
        return True

    assert await eventually(all_is_counted)
    liked = await fan.get("douyin/favorite/list/", user_id=fan.user_id)
    assert ids_of(liked["video_list"]) == [video_id]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_friends_chat(phone: Phone, scheme: str) -> None:
    one, other = await phone(scheme).register(), await phone(scheme).register()
    for follower, followed in ((one, other), (other, one)):
        await follower.post("douyin/relation/action/", to_user_id=followed.user_id, action_type=1)

    await one.post(
        "douyin/message/action/", to_user_id=other.user_id, action_type=1, content="你好"
    )

    async def told() -> list[str]:
        chat = await other.get("douyin/message/chat/", to_user_id=one.user_id, pre_msg_time=0)
        return [message["content"] for message in chat["message_list"]]

    assert await eventually(told) == ["你好"]


async def test_the_samples_are_in_the_feed(phone: Phone) -> None:
    assert len((await phone().feed())["video_list"]) >= 2


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_metrics_are_nobodys_business(phone: Phone, scheme: str) -> None:
    reply = await phone(scheme).send("GET", "metrics")

    assert "dousheng_" not in reply.text
