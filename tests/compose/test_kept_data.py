"""`docker compose down` and `up` again keep everything that people have put in."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from scripts.compose_test.project import Project
from tests.system.app import App, ids_of
from tests.system.publishing import wait_published


async def test_down_and_up_again_keep_everything(
    project: Project, phone: Callable[..., App], small_video: Path
) -> None:
    author, fan = await phone().register(), await phone().register()
    card = await wait_published(author, await author.publish(small_video))
    await fan.post("douyin/favorite/action/", video_id=card["id"], action_type=1)
    await fan.post("douyin/relation/action/", to_user_id=author.user_id, action_type=1)
    await fan.post(
        "douyin/comment/action/", video_id=card["id"], action_type=1, comment_text="留下"
    )
    await fan.post(
        "douyin/message/action/", to_user_id=author.user_id, action_type=1, content="还在吗"
    )
    media = (await fan.load(card["play_url"])).content

    # Taken down at once: what was acknowledged and is still on its way has to be kept as well.
    await asyncio.to_thread(project.down)
    await asyncio.to_thread(project.up)

    await author.login()
    await fan.login()
    (shown,) = await fan.videos_of(author.user_id)
    assert (shown["favorite_count"], shown["comment_count"]) == (1, 1)
    assert shown["is_favorite"]
    assert shown["author"]["is_follow"]
    liked = await fan.get("douyin/favorite/list/", user_id=fan.user_id)
    assert ids_of(liked["video_list"]) == [card["id"]]
    chat = await author.get("douyin/message/chat/", to_user_id=fan.user_id, pre_msg_time=0)
    assert [message["content"] for message in chat["message_list"]] == ["还在吗"]
    assert (await fan.load(shown["play_url"])).content == media
