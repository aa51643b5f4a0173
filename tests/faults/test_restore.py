"""A whole system is lost, and its backup becomes another one: people go on where they were."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from scripts.stack import Stack
from scripts.stack.environment import without_settings
from scripts.stack.plain_http import NO_CERTIFICATES
from scripts.stack.site import REPOSITORY
from tests.eventually import eventually
from tests.media_samples import make_video
from tests.stacks import private_stack
from tests.system.app import App
from tests.system.system import System, running_system

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

NO_LIMITS = {"DOUSHENG_GATEWAY__RATE_LIMIT__ENABLED": "false"}
OpenApp = Callable[[], App]


@asynccontextmanager
async def apps_of(system: System) -> AsyncIterator[OpenApp]:
    """Make apps that talk to a system, whose connections end with the block."""
    async with httpx.AsyncClient(timeout=60, trust_env=False, verify=NO_CERTIFICATES) as http:
        yield lambda: App(http, system.base_url, system.spoken)


async def run(stack: Stack, *command: str) -> str:
    """Run a command of an operator on the stack's servers and return what it prints."""

    def wait() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [REPOSITORY / "scripts" / command[0], *command[1:]],
            env=without_settings(os.environ) | stack.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    done = await asyncio.to_thread(wait)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def live(author: App, fan: App, video: Path) -> int:
    """Publish, follow each other, like and write; return the video's id."""
    video_id = await author.publish(video)
    await eventually(lambda: author.videos_of(author.user_id), within_s=120)
    for one, other in ((author, fan), (fan, author)):
        await one.post("douyin/relation/action/", to_user_id=other.user_id, action_type=1)
    await fan.post("douyin/favorite/action/", video_id=video_id, action_type=1)
    await fan.post(
        "douyin/message/action/", to_user_id=author.user_id, action_type=1, content="你好😀"
    )
    return video_id


async def test_people_go_on_in_a_new_system_that_was_made_from_a_backup(tmp_path: Path):
    video = make_video(tmp_path / "sample.mp4")
    folder = tmp_path / "backup"
    with running_system(tmp_path / "old", overrides=NO_LIMITS) as old:
        async with apps_of(old) as open_app:
            author, fan = await open_app().register(), await open_app().register()
            video_id = await live(author, fan, video)
            [card] = await author.videos_of(author.user_id)
            played = (await author.load(card["play_url"])).content
        await run(old.stack, "backup", str(folder))

    with private_stack(tmp_path / "new", overrides=NO_LIMITS) as new:
        new.up("servers")
        await run(new, "restore", str(folder), "--replace-keys")
        new.up()
        async with apps_of(System(new)) as open_app:
            await expect_all(open_app, author, fan, video_id=video_id, played=played)
        assert await run(new, "recount") == "differences: 0\n"


async def expect_all(
    open_app: OpenApp, author: App, fan: App, *, video_id: int, played: bytes
) -> None:
    """Check that both find everything, with the old tokens and with new ones."""
    again = open_app()
    again.name, again.password = fan.name, fan.password
    await again.login()
    old_login = open_app()
    old_login.token = author.token

    [card] = await again.videos_of(author.user_id)
    assert (card["id"], card["favorite_count"], card["is_favorite"]) == (video_id, 1, True)
    assert (await again.load(card["play_url"])).content == played
    assert (await again.load(card["cover_url"])).status_code == 200
    chat = await old_login.get("douyin/message/chat/", to_user_id=fan.user_id)
    assert [message["content"] for message in chat["message_list"]] == ["你好😀"]
    assert (await again.user(author.user_id))["follower_count"] == 1
    await old_login.post("douyin/favorite/action/", video_id=video_id, action_type=1)

    async def counted() -> bool:
        [liked] = await again.videos_of(author.user_id)
        return bool(liked["favorite_count"] == 2)

    await eventually(counted)
