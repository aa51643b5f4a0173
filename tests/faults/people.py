"""People who use the app all the time, and write down what they were answered."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websockets

from dal.registers.model import Kind
from tests.faults.ledger import Ledger, Pair, Sent
from tests.system.app import App, Json

# How often each thing is done, among all.
WEIGHTS = {
    "feed": 14,
    "user": 8,
    "publish_list": 3,
    "publish_status": 3,
    "likes": 4,
    "comments": 6,
    "followed": 3,
    "followers": 3,
    "friends": 3,
    "media": 4,
    "poll": 16,
    "like": 16,
    "follow": 10,
    "comment": 6,
    "message": 10,
    "login": 1,
}
# Who watches one conversation over a WebSocket tries again after this.
REOPEN_S = 0.2
SOCKET_TIMEOUT_S = 10


@dataclass(frozen=True)
class Town:
    """What all people of a load share."""

    ledger: Ledger
    authors: Sequence[int]
    videos: Sequence[int]
    covers: Sequence[str]
    small_video: Path


@dataclass
class Person:
    """Somebody with a phone and a friend to chat with; does one thing after the other."""

    app: App
    friend: App
    town: Town
    chance: random.Random
    _active: dict[Pair, bool] = field(default_factory=dict)
    _last_seen_ms: int = 1
    _written: int = 0

    @property
    def ledger(self) -> Ledger:
        """Where everything is written down."""
        return self.town.ledger

    async def do_something(self) -> None:
        """Do one thing, chosen by chance."""
        (name,) = self.chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        await getattr(self, name)()

    # Looking

    async def feed(self) -> None:
        """Open the feed."""
        await self._get("feed", "douyin/feed/")

    async def user(self) -> None:
        """Look at somebody's profile."""
        await self._get("user", "douyin/user/", user_id=self._somebody())

    async def publish_list(self) -> None:
        """Look at somebody's videos."""
        await self._get("publish list", "douyin/publish/list/", user_id=self._somebody())

    async def publish_status(self) -> None:
        """Look at what became of one's own uploads."""
        await self._get("publish status", "douyin/publish/status/")

    async def likes(self) -> None:
        """Look at what somebody likes."""
        await self._get("likes", "douyin/favorite/list/", user_id=self._somebody())

    async def comments(self) -> None:
        """Look at what people say about a video."""
        await self._get("comments", "douyin/comment/list/", video_id=self._some_video())

    async def followed(self) -> None:
        """Look at whom somebody follows."""
        await self._get("followed", "douyin/relation/follow/list/", user_id=self._somebody())

    async def followers(self) -> None:
        """Look at who follows somebody."""
        await self._get("followers", "douyin/relation/follower/list/", user_id=self._somebody())

    async def friends(self) -> None:
        """Look at one's friends."""
        await self._get("friends", "douyin/relation/friend/list/", user_id=self.app.user_id)

    async def media(self) -> None:
        """Load a cover."""
        await self.ledger.make("media", self.app.load(self.chance.choice(self.town.covers)))

    async def poll(self) -> None:
        """Ask for what the friend wrote since the last look."""
        reply = await self._get(
            "chat",
            "douyin/message/chat/",
            to_user_id=self.friend.user_id,
            pre_msg_time=self._last_seen_ms,
        )
        for message in reply["message_list"] if reply else ():
            self._last_seen_ms = message["create_time"]
            self.ledger.polled[self.friend.user_id, self.app.user_id].append(message["content"])

    async def _get(self, kind: str, path: str, **params: Any) -> Json | None:
        return await self.ledger.make(kind, self.app.send("GET", path, **params))

    def _somebody(self) -> int:
        return self.chance.choice(self.town.authors)

    def _some_video(self) -> int:
        return self.chance.choice(self.town.videos)

    # Acting

    async def like(self) -> None:
        """Like a video, or stop liking it."""
        pair = (Kind.FAVORITE, self.app.user_id, self._some_video())
        await self._switch("like", "douyin/favorite/action/", pair, target="video_id")

    async def follow(self) -> None:
        """Follow somebody, or stop following them; whom one chats with stays."""
        others = set(self.town.authors) - {self.app.user_id, self.friend.user_id}
        pair = (Kind.RELATION, self.app.user_id, self.chance.choice(sorted(others)))
        await self._switch("follow", "douyin/relation/action/", pair, target="to_user_id")

    async def _switch(self, kind: str, path: str, pair: Pair, *, target: str) -> None:
        active = not self._active.get(pair, False)
        params: Json = {target: pair[2], "action_type": 1 if active else 2}
        reply = await self.ledger.make(kind, self.app.send("POST", path, **params))
        self.ledger.note_register(pair, active=active, acknowledged=reply is not None)
        self._active[pair] = active

    async def comment(self) -> None:
        """Write a comment."""
        text, video_id = self._new_text(), self._some_video()
        params: Json = {"video_id": video_id, "action_type": 1, "comment_text": text}
        sending = self.app.send("POST", "douyin/comment/action/", **params)
        # Whoever is stopped in the middle does not know either.
        self.ledger.unknown_comments.add(text)
        reply = await self.ledger.make("comment", sending)
        if reply is not None:
            self.ledger.unknown_comments.discard(text)
            self.ledger.comments[text] = reply["comment"]["id"]

    async def message(self) -> None:
        """Write to the friend."""
        text = self._new_text()
        params: Json = {"to_user_id": self.friend.user_id, "action_type": 1, "content": text}
        sending = self.app.send("POST", "douyin/message/action/", **params)
        reply = await self.ledger.make("message", sending)
        sent = self.ledger.messages[self.app.user_id, self.friend.user_id]
        sent.append(Sent(text, acknowledged=reply is not None))

    async def login(self) -> None:
        """Log in again."""
        params: Json = {"username": self.app.name, "password": self.app.password}
        await self.ledger.make("login", self.app.send("POST", "douyin/user/login/", **params))

    async def publish(self) -> None:
        """Upload a small video."""
        sending = self.app.send_video(self.town.small_video, self._new_text())
        reply = await self.ledger.make("publish", sending)
        if reply is not None:
            self.ledger.uploads.append((self.app.user_id, reply["video_id"]))

    def _new_text(self) -> str:
        self._written += 1
        return f"{self.app.user_id}-{self._written}-{time.time_ns():x}"

    # Watching

    async def watch(self) -> None:
        """Receive what the friend writes over a WebSocket, opened again whenever it ends, until cancelled."""
        last_seen_ms = 1
        while True:
            # What it ends with does not matter here: nothing may be missing or come twice.
            with suppress(OSError, TimeoutError, websockets.WebSocketException):
                async with websockets.connect(
                    self._socket_url(last_seen_ms), open_timeout=SOCKET_TIMEOUT_S, proxy=None
                ) as socket:
                    async for frame in socket:
                        message = json.loads(frame)
                        last_seen_ms = message["create_time"]
                        self._note_pushed(message)
            await asyncio.sleep(REOPEN_S)

    def _socket_url(self, pre_msg_time: int) -> str:
        base = self.app.base_url.replace("http://", "ws://")
        query = f"token={self.app.token}&to_user_id={self.friend.user_id}"
        return f"{base}douyin/message/ws/?{query}&pre_msg_time={pre_msg_time}"

    def _note_pushed(self, message: Json) -> None:
        sender, receiver = message["from_user_id"], message["to_user_id"]
        self.ledger.pushed[sender, receiver].append(message["content"])


async def introduce(phone: Callable[[], App], count: int) -> list[tuple[App, App]]:
    """Register people and return each with a friend: two and two follow each other."""
    apps = [await phone().register() for _ in range(count)]
    pairs = list(zip(apps[::2], apps[1::2], strict=True))
    for one, other in pairs:
        for app, to in ((one, other), (other, one)):
            await app.post("douyin/relation/action/", to_user_id=to.user_id, action_type=1)
    return [both for one, other in pairs for both in ((one, other), (other, one))]
