"""The gRPC edge of MessageService, and the rules of who may write what to whom."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc

from dal.db.messages import Draft, MessageRow
from dal.registers.lists import RegisterLists
from pkg.errors import InvalidParameter, NotFriends, RateLimited
from pkg.paging import parse_page_request
from pkg.text import check_length, refuse_control_characters
from protos import message_pb2_grpc
from protos.message_pb2 import (
    Message,
    MessageActionReply,
    MessageActionRequest,
    MessageChatReply,
    MessageChatRequest,
    MessageStreamRequest,
)
from services.identity import Viewers
from services.message.chat import PAGE, Chat
from services.message.settings import MessageSettings
from services.message_texts import MessageTexts

Context = grpc.aio.ServicerContext[Any, Any]
SEND = 1
MAX_CONTENT_CHARS = 1000
# So many streams look for messages at once: half of the connections to the database stay for the calls.
STREAMS_LOOKING = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class MessageHandler(message_pb2_grpc.MessageServiceServicer):
    """Answers MessageService; errors are raised and translated by the interceptor."""

    chat: Chat
    texts: MessageTexts
    lists: RegisterLists
    viewers: Viewers
    settings: MessageSettings
    stream_looks: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(STREAMS_LOOKING)
    )

    async def MessageAction(
        self, request: MessageActionRequest, context: Context
    ) -> MessageActionReply:
        sender_id = await self.viewers.require(request.token)
        if request.action_type != SEND:
            raise InvalidParameter(detail="action_type")
        # Characters are counted as they are seen; the message is kept as it was sent.
        seen = unicodedata.normalize("NFC", request.content)
        refuse_control_characters(seen, label="消息")
        check_length(seen, label="消息", max_chars=MAX_CONTENT_CHARS)
        await self._require_may_write(sender_id, request.to_user_id)
        key = await self.texts.get_newest_key()
        encrypt = partial(key.encrypt, request.content)
        await self.chat.send(Draft(sender_id, request.to_user_id, key.id, encrypt))
        return MessageActionReply()

    async def MessageChat(self, request: MessageChatRequest, context: Context) -> MessageChatReply:
        viewer_id = await self.viewers.require(request.token)
        other_id = request.to_user_id
        _refuse_negative(request.pre_msg_time)
        if viewer_id == other_id:
            return MessageChatReply()
        if request.pre_msg_time > 0:
            rows = await self.chat.list_new_from(other_id, viewer_id, after_ms=request.pre_msg_time)
            return MessageChatReply(message_list=await self._to_messages(rows))
        page = await self.chat.list_history(
            viewer_id, other_id, parse_page_request(request.cursor, request.limit, default=PAGE)
        )
        return MessageChatReply(
            message_list=await self._to_messages(page.items), next_cursor=page.next_cursor
        )

    async def MessageStream(
        self, request: MessageStreamRequest, context: Context
    ) -> AsyncIterator[Message]:
        viewer_id = await self.viewers.require(request.token)
        other_id = request.to_user_id
        _refuse_negative(request.pre_msg_time)
        if viewer_id == other_id:
            raise InvalidParameter("不能和自己聊天")
        after_ms = request.pre_msg_time
        if after_ms == 0:
            after_ms = await self.chat.get_last_time_ms(viewer_id, other_id)
        clock = asyncio.get_running_loop().time
        while True:
            await self.viewers.require(request.token)  # It may have expired since the last turn.
            async with self.stream_looks:
                rows = await self.chat.list_new(viewer_id, other_id, after_ms=after_ms)
            for message in await self._to_messages(rows):
                began = clock()
                # Returns when the client has room for the message: nothing is kept for one that does not read.
                yield message
                if clock() - began > self.settings.slow_client_timeout_s:
                    raise RateLimited("网络太慢,请稍后重新连接")
                after_ms = message.create_time
            if len(rows) < PAGE:
                await asyncio.sleep(self.settings.stream_interval_s)

    async def _require_may_write(self, sender_id: int, other_id: int) -> None:
        if sender_id == other_id:
            raise NotFriends("不能给自己发消息")
        must_be_friends = self.settings.who_may_write == "friends"
        may_write = self.lists.are_friends if must_be_friends else self.lists.follows
        if await may_write(sender_id, other_id):
            return
        await self.chat.require_user(other_id)
        raise NotFriends("你们互相关注后,才能发消息" if must_be_friends else None)

    async def _to_messages(self, rows: Sequence[MessageRow]) -> list[Message]:
        texts = await self.texts.decrypt(rows)
        return [_to_message(row, text) for row, text in zip(rows, texts, strict=True)]


def _refuse_negative(pre_msg_time: int) -> None:
    if pre_msg_time < 0:
        raise InvalidParameter(detail="pre_msg_time")


def _to_message(row: MessageRow, text: str) -> Message:
    return Message(
        id=row.id,
        to_user_id=row.to_user_id,
        from_user_id=row.from_user_id,
        content=text,
        create_time=row.created_at_ms,
    )
