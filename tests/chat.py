"""Chat for tests: a handler of the product, and people who write to each other through it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import Redis
from sqlalchemy import insert

from dal.db.engine import Database
from dal.db.messages import Draft, insert_message
from dal.db.models import Relation
from dal.redis.chat import ChatMarks
from dal.redis.overlay import Overlay
from dal.registers.lists import RegisterLists
from pkg.token import TokenVerifier
from protos import message_pb2_grpc
from protos.message_pb2 import (
    Message,
    MessageActionRequest,
    MessageChatReply,
    MessageChatRequest,
)
from services.identity import Viewers
from services.message.chat import Chat
from services.message.handler import MessageHandler
from services.message.settings import MessageSettings
from services.message_texts import MessageTexts
from tests.conftest import AllSettings


def make_settings(**changes: Any) -> MessageSettings:
    values: dict[str, Any] = {
        "who_may_write": "following",
        "stale_mark_s": 3.0,
        "stream_interval_s": 0.05,
        "slow_client_timeout_s": 5.0,
    }
    return MessageSettings(
        host="127.0.0.1",
        port=1,
        advertise_host="127.0.0.1",
        metrics_port=1,
        stop_grace_s=5,
        max_concurrent_calls=100,
        max_concurrent_streams=100,
        **(values | changes),
    )


def make_handler(
    settings: AllSettings, database: Database, redis: Redis, own: MessageSettings | None = None
) -> MessageHandler:
    own = own or make_settings()
    return MessageHandler(
        chat=Chat(database, ChatMarks(redis, stale_mark_s=own.stale_mark_s)),
        texts=MessageTexts(database, settings.crypt),
        lists=RegisterLists(database, Overlay(redis)),
        viewers=Viewers(TokenVerifier(settings.token), database),
        settings=own,
    )


@dataclass
class Phone:
    """One person's app in the chat with the other one."""

    stub: "message_pb2_grpc.MessageServiceAsyncStub"
    token: str
    user_id: int
    other_id: int

    async def send(self, content: str) -> None:
        await self.stub.MessageAction(
            MessageActionRequest(
                token=self.token, to_user_id=self.other_id, action_type=1, content=content
            )
        )

    async def read(self, pre_msg_time: int = 0) -> list[Message]:
        request = MessageChatRequest(
            token=self.token, to_user_id=self.other_id, pre_msg_time=pre_msg_time
        )
        return list((await self.stub.MessageChat(request)).message_list)

    async def page(self, cursor: str = "", *, limit: int = 0) -> MessageChatReply:
        """Return a page of the history."""
        request = MessageChatRequest(
            token=self.token, to_user_id=self.other_id, limit=limit, cursor=cursor
        )
        return await self.stub.MessageChat(request)

    async def texts(self, pre_msg_time: int = 0) -> list[str]:
        return [message.content for message in await self.read(pre_msg_time)]


async def befriend(database: Database, *pairs: tuple[int, int]) -> None:
    rows = [
        {"user_id": follower, "to_user_id": followed, "active": True, "acted_at_us": 1}
        for one, other in pairs
        for follower, followed in ((one, other), (other, one))
    ]
    async with database.write() as connection:
        await connection.execute(insert(Relation), rows)


async def write_many(settings: AllSettings, database: Database, sender: Phone, count: int) -> None:
    """Store long messages, quickly."""
    key = await MessageTexts(database, settings.crypt).get_newest_key()
    async with database.write(timeout_s=60) as connection:
        for number in range(count):
            encrypt = partial(key.encrypt, f"{number:01000}")
            draft = Draft(sender.user_id, sender.other_id, key.id, encrypt)
            await insert_message(connection, draft, mark=1, now_ms=1000)


MakePhone = Callable[[int, int], Phone]
