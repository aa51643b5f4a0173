"""Chat as its service does it, over gRPC: pairs of friends of their own poll for nothing, or send."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from dal.db.absorption import absorb_actions
from dal.db.engine import Database, MySQLSettings, open_database
from dal.db.users import insert_user
from dal.registers.model import Action, ActionType, Kind
from pkg.clock import now_ms
from pkg.rpc.tls import RpcSettings, make_channel
from pkg.settings import ProcessSettings
from pkg.token import TokenIssuer, TokenSettings
from protos import message_pb2_grpc
from protos.message_pb2 import MessageActionRequest, MessageChatRequest
from scripts.benchmarks.load import Load, Result, measure
from scripts.operator.settings import load_settings
from services.message.settings import MessageSettings

TIMEOUT_S = 10
CONTENT = "今晚一起吃饭吗?😀"
NO_HASH = "-"  # nobody can log in with it


class ChatBenchSettings(ProcessSettings):
    rpc: RpcSettings
    mysql: MySQLSettings
    message: MessageSettings
    token: TokenSettings


@dataclass(frozen=True)
class Friends:
    """One conversation, from the side of who holds the token."""

    token: str
    other_id: int


async def bench_poll(load: Load) -> Result:
    """Measure polls that bring nothing."""
    async with _conversations(load.workers) as (stub, conversations):
        await _send_and_open(stub, conversations)
        later = now_ms() + 3_600_000
        calls = [
            partial(
                stub.MessageChat,
                MessageChatRequest(
                    token=friends.token, to_user_id=friends.other_id, pre_msg_time=later
                ),
                timeout=TIMEOUT_S,
            )
            for friends in conversations
        ]
        return await measure("chat-poll", load, calls)


async def bench_send(load: Load) -> Result:
    """Measure messages that are stored."""
    async with _conversations(load.workers) as (stub, conversations):
        await _send_and_open(stub, conversations)
        calls = [
            partial(stub.MessageAction, _make_message(friends), timeout=TIMEOUT_S)
            for friends in conversations
        ]
        return await measure("chat-send", load, calls)


@asynccontextmanager
async def _conversations(
    count: int,
) -> AsyncIterator[tuple["message_pb2_grpc.MessageServiceAsyncStub", list[Friends]]]:
    settings = load_settings(ChatBenchSettings)
    address = f"{settings.message.host}:{settings.message.port}"
    async with open_database(settings.mysql) as database:
        issuer = TokenIssuer(settings.token)
        conversations = [await _make_friends(database, issuer) for _ in range(count)]
    async with make_channel(address, "message", settings.rpc.tls) as channel:
        yield message_pb2_grpc.MessageServiceStub(channel), conversations


async def _make_friends(database: Database, issuer: TokenIssuer) -> Friends:
    names = [f"bench-{uuid.uuid4().hex[:20]}" for _ in range(2)]
    async with database.write() as connection:
        one, other = [
            await insert_user(connection, name=name, password_hash=NO_HASH) for name in names
        ]
    # As the flush does it, counters included: what a benchmark leaves behind must be in order.
    version = now_ms() * 1000
    follows = [
        Action(follower, followed, version, ActionType.DO)
        for follower, followed in ((one, other), (other, one))
    ]
    await absorb_actions(database, Kind.RELATION, follows)
    return Friends(issuer.issue(one), other)


def _make_message(friends: Friends) -> MessageActionRequest:
    return MessageActionRequest(
        token=friends.token, to_user_id=friends.other_id, action_type=1, content=CONTENT
    )


async def _send_and_open(
    stub: "message_pb2_grpc.MessageServiceAsyncStub", conversations: Sequence[Friends]
) -> None:
    for friends in conversations:
        await stub.MessageAction(_make_message(friends), timeout=TIMEOUT_S)
        opening = MessageChatRequest(token=friends.token, to_user_id=friends.other_id)
        await stub.MessageChat(opening, timeout=TIMEOUT_S)
