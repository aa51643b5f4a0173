"""Every process dies once, by SIGKILL: calls end in time and say what to do, the rest goes on, and it heals by itself."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.eventually import eventually
from tests.system.app import App, describe, read_envelope, read_refusal, succeeded
from tests.system.publishing import wait_published
from tests.system.system import System

DEADLINE_S = 10
UPLOAD_DEADLINE_S = 30
HEALS_WITHIN_S = 90
COMMENT = "这条评论不该出现在日志里"
MESSAGE = "这条消息不该出现在日志里"


# What the app calls, and with which parameters.
CALLS = {
    "register": ("POST", "douyin/user/register/", "username", "password"),
    "login": ("POST", "douyin/user/login/", "username", "password"),
    "user": ("GET", "douyin/user/", "user_id"),
    "feed": ("GET", "douyin/feed/"),
    "publish list": ("GET", "douyin/publish/list/", "user_id"),
    "publish status": ("GET", "douyin/publish/status/"),
    "like": ("POST", "douyin/favorite/action/", "video_id", "action_type"),
    "likes": ("GET", "douyin/favorite/list/", "user_id"),
    "comment": ("POST", "douyin/comment/action/", "video_id", "action_type", "comment_text"),
    "comments": ("GET", "douyin/comment/list/", "video_id"),
    "follow": ("POST", "douyin/relation/action/", "to_user_id", "action_type"),
    "followed": ("GET", "douyin/relation/follow/list/", "user_id"),
    "message": ("POST", "douyin/message/action/", "to_user_id", "action_type", "content"),
    "chat": ("GET", "douyin/message/chat/", "to_user_id"),
    "health": ("GET", "healthz"),
}
EVERYTHING = (*CALLS, "media")


def all_but(*names: str) -> tuple[str, ...]:
    """Return every kind of call but these and uploads."""
    return tuple(name for name in EVERYTHING if name not in names)


# For each process: what cannot be done without it, and what goes on. The rest may work or not.
NEEDED_FOR: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "redis-cache": ((), EVERYTHING),
    "redis-actions": (("like", "follow", "message"), all_but("like", "follow", "message")),
    "rabbitmq": (("like", "follow"), all_but("like", "follow")),
    "etcd": ((), EVERYTHING),
    "s3": (("media", "publish"), all_but("media")),
    "mysql": (
        (
            *("feed", "publish list", "publish status", "publish", "register", "login"),
            *("comment", "comments", "message"),
        ),
        ("media", "health"),
    ),
    "comment": (("comment", "comments"), all_but("comment", "comments")),
    "favorite": (("like", "likes"), all_but("like", "likes")),
    "relation": (("follow", "followed"), all_but("follow", "followed")),
    "message": (("message", "chat"), all_but("message", "chat")),
    "user": (("user", "register", "login"), all_but("user", "register", "login")),
    "video": (
        ("feed", "publish list", "publish status", "publish"),
        all_but("feed", "publish list", "publish status"),
    ),
    "gateway": (all_but("media"), ("media",)),
}


@dataclass
class Story:
    """Two friends and a video, told to every test of this file."""

    accounts: list[dict[str, object]] = field(default_factory=list)
    video_id: int = 0
    cover_url: str = ""


@pytest.fixture(scope="session")
def story() -> Story:
    """Filled by the first test."""
    return Story()


@dataclass
class Play:
    """Every kind of call that the app makes, each ready to be made again and again."""

    system: System
    me: App
    friend: App
    story: Story
    small_video: Path

    async def call(self, name: str) -> httpx.Response:
        """Make one kind of call."""
        if name == "media":
            return await self.me.load(self.story.cover_url)
        if name == "publish":
            return await self.me.send_video(self.small_video)
        method, path, *wanted = CALLS[name]
        values: dict[str, Any] = {
            "user_id": self.friend.user_id,
            "to_user_id": self.friend.user_id,
            "video_id": self.story.video_id,
            "action_type": 1,
            "comment_text": COMMENT,
            "content": MESSAGE,
            "username": self.me.name,
            "password": self.me.password,
        }
        if name == "register":
            values["username"] = f"新人{time.monotonic_ns()}"
        return await self.me.send(method, path, **{key: values[key] for key in wanted})

    async def works(self, name: str) -> None:
        """Check that a kind of call succeeds, in time."""
        async with asyncio.timeout(DEADLINE_S):
            reply = await self.call(name)
        assert reply.status_code == 200, f"{name}: {describe(reply)}"
        if name != "media":
            assert read_envelope(reply)["status_code"] == 0, f"{name}: {describe(reply)}"

    async def is_refused(self, name: str) -> None:
        """Check that a kind of call is answered with 503 in the envelope, in time."""
        async with asyncio.timeout(UPLOAD_DEADLINE_S if name == "publish" else DEADLINE_S):
            reply = await self.call(name)
        assert reply.status_code == 503, f"{name}: {describe(reply)}"
        read_refusal(reply, 503)

    async def heals(self) -> None:
        """Check that everything works again, soon and without a hand."""

        async def ready() -> bool:
            reply = await self.me.send("GET", "readyz")
            return bool(succeeded(read_envelope(reply)))

        await eventually(ready, within_s=HEALS_WITHIN_S)
        for name in EVERYTHING:

            async def works(name: str = name) -> bool:
                await self.works(name)
                return True

            await eventually(works, within_s=30)
        # A storage that was killed takes a while until it stores again.
        video_id = await eventually(
            lambda: self.me.publish(self.small_video), within_s=HEALS_WITHIN_S
        )
        await wait_published(self.me, video_id)


@pytest.fixture
async def play(system: System, phone: Callable[[], App], story: Story, small_video: Path) -> Play:
    """The story, with everything at work."""
    if not story.accounts:
        me, friend = await phone().register(), await phone().register()
        for app, other in ((me, friend), (friend, me)):
            await app.post("douyin/relation/action/", to_user_id=other.user_id, action_type=1)
        card = await wait_published(friend, await friend.publish(small_video))
        story.video_id, story.cover_url = card["id"], card["cover_url"]
        story.accounts = [
            {key: getattr(app, key) for key in ("user_id", "token", "name", "password")}
            for app in (me, friend)
        ]
    apps = []
    for account in story.accounts:
        app = phone()
        vars(app).update(account)
        apps.append(app)
    system.spoken.add(COMMENT, MESSAGE)
    found = Play(system, apps[0], apps[1], story, small_video)

    async def friends() -> bool:
        await found.works("message")
        return True

    await eventually(friends, within_s=10)
    return found


@pytest.mark.parametrize("name", NEEDED_FOR)
async def test_while_it_is_dead_the_rest_goes_on_and_then_it_heals(
    system: System, play: Play, name: str
) -> None:
    needing, going_on = NEEDED_FOR[name]

    with system.down(name):
        await asyncio.gather(*map(play.is_refused, needing))
        await asyncio.gather(*map(play.works, going_on))

    await play.heals()


async def test_while_nginx_is_dead_the_gateway_goes_on_and_then_it_heals(
    system: System, play: Play
) -> None:
    with system.down("nginx"):
        with pytest.raises(httpx.TransportError):
            await play.call("feed")
        play.me.base_url = system.gateway_url
        await asyncio.gather(*map(play.works, all_but("media")))

    play.me.base_url = system.base_url
    await play.heals()


# A login asks a cache that hangs several times and may take too long.
FROZEN_NEEDS = {
    "mysql": NEEDED_FOR["mysql"],
    "s3": (("publish",), all_but("media")),
    "redis-actions": NEEDED_FOR["redis-actions"],
    "redis-cache": ((), all_but("login")),
    "rabbitmq": NEEDED_FOR["rabbitmq"],
    "etcd": NEEDED_FOR["etcd"],
}


@pytest.mark.parametrize("name", FROZEN_NEEDS)
async def test_while_it_hangs_nothing_hangs_with_it(system: System, play: Play, name: str) -> None:
    needing, going_on = FROZEN_NEEDS[name]

    with system.frozen(name):
        await asyncio.gather(*map(play.is_refused, needing))
        await asyncio.gather(*map(play.works, going_on))

    await play.heals()


async def test_everything_at_once_may_die_and_it_still_heals(system: System, play: Play) -> None:
    for name in (*NEEDED_FOR, "nginx"):
        system.kill(name)

    await play.heals()
