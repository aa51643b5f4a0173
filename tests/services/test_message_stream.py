"""MessageStream: what a WebSocket client gets through the gateway."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import cast

import grpc
import pytest
from redis.asyncio import Redis

from dal.db.engine import Database
from dal.db.messages import MessageRow
from pkg.errors import InvalidParameter, RateLimited, Unauthenticated, UserNotFound
from pkg.token import TokenIssuer
from protos import message_pb2_grpc
from protos.message_pb2 import Message, MessageStreamRequest
from services.message.chat import Chat
from services.message.handler import STREAMS_LOOKING
from tests.accounts import UserFactory
from tests.chat import (
    Phone,
    befriend,
    make_handler,
    make_settings,
    write_many,
)
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.serving import counted_statements, refused_with, serving

PATIENCE_S = 20.0
# More than the connection holds for a client that does not read.
MANY = 250
SLOW_CLIENT_TIMEOUT_S = 0.5
# How long a client reads nothing is what the test is about: the one wait that no condition can replace.
READS_NOTHING_S = 4 * SLOW_CLIENT_TIMEOUT_S
Stream = grpc.aio.UnaryStreamCall[MessageStreamRequest, Message]


@pytest.fixture
async def channels(
    settings: AllSettings, database: Database, actions_redis: Redis
) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Two instances of the service."""
    own = make_settings(slow_client_timeout_s=SLOW_CLIENT_TIMEOUT_S)
    handlers = [make_handler(settings, database, actions_redis, own) for _ in range(2)]

    async with (
        serving(
            lambda s: message_pb2_grpc.add_MessageServiceServicer_to_server(handlers[0], s)
        ) as one,
        serving(
            lambda s: message_pb2_grpc.add_MessageServiceServicer_to_server(handlers[1], s)
        ) as two,
    ):
        yield [one, two]


@pytest.fixture
async def friends(
    settings: AllSettings,
    database: Database,
    channels: list[grpc.aio.Channel],
    make_user: UserFactory,
) -> tuple[Phone, Phone]:
    """Two friends, each with an instance of the service of their own."""
    first, second = await make_user(), await make_user()
    await befriend(database, (first, second))
    issuer = TokenIssuer(settings.token)
    one, two = [message_pb2_grpc.MessageServiceStub(channel) for channel in channels]
    return (
        Phone(one, issuer.issue(first), first, second),
        Phone(two, issuer.issue(second), second, first),
    )


def follow(phone: Phone, pre_msg_time: int = 0, *, token: str | None = None) -> Stream:
    return phone.stub.MessageStream(
        MessageStreamRequest(
            token=phone.token if token is None else token,
            to_user_id=phone.other_id,
            pre_msg_time=pre_msg_time,
        )
    )


async def take(stream: Stream, count: int) -> list[Message]:
    async with asyncio.timeout(PATIENCE_S):
        return [cast("Message", await stream.read()) for _ in range(count)]


async def test_messages_of_both_arrive_through_another_instance(friends: tuple[Phone, Phone]):
    first, second = friends
    await first.send("早先的")
    start = (await first.read())[-1].create_time
    stream = follow(second, start)

    await first.send("一")
    await second.send("二")

    assert [message.content for message in await take(stream, 2)] == ["一", "二"]
    stream.cancel()


async def test_a_stream_resumes_where_the_last_one_ended(
    settings: AllSettings, database: Database, friends: tuple[Phone, Phone]
):
    first, second = friends
    await write_many(settings, database, first, 230)
    stream = follow(second, 1)
    received = await take(stream, 120)
    stream.cancel()

    resumed = follow(second, received[-1].create_time)

    received += await take(resumed, 110)
    resumed.cancel()
    assert [int(message.content) for message in received] == list(range(230))


async def test_without_a_time_a_stream_brings_only_what_is_sent_from_now_on(
    friends: tuple[Phone, Phone],
):
    first, second = friends
    await first.send("早先的")
    stream = follow(second)
    arriving = asyncio.create_task(take(stream, 1))

    async with asyncio.timeout(PATIENCE_S):
        while not arriving.done():
            await first.send("现在的")
            await asyncio.wait({arriving}, timeout=0.1)

    assert [message.content for message in arriving.result()] == ["现在的"]
    stream.cancel()


async def count_scripts(redis: Redis) -> int:
    """Return how many Lua scripts this Redis has run."""
    return int((await redis.info("commandstats"))["cmdstat_evalsha"]["calls"])


async def test_a_stream_that_brings_nothing_runs_no_sql(
    friends: tuple[Phone, Phone], actions_redis: Redis
):
    first, second = friends
    await first.send("一")
    stream = follow(second, 1)
    await take(stream, 1)

    with counted_statements() as statements:
        looked = await count_scripts(actions_redis)

        async def looked_often() -> bool:
            return await count_scripts(actions_redis) >= looked + 20

        await eventually(looked_often)

    assert statements == []
    stream.cancel()


async def test_a_client_that_does_not_read_is_dropped_and_can_come_back(
    settings: AllSettings, database: Database, friends: tuple[Phone, Phone]
):
    first, second = friends
    await write_many(settings, database, first, MANY)
    stream = follow(second, 1)
    received = await take(stream, 1)

    await asyncio.sleep(READS_NOTHING_S)  # That nothing is read is what is tested.
    with refused_with(RateLimited):
        await read_to_the_end(stream, received)

    assert len(received) < MANY
    resumed = follow(second, received[-1].create_time)
    received += await take(resumed, MANY - len(received))
    resumed.cancel()
    assert [message.content for message in received] == [f"{n:01000}" for n in range(MANY)]


async def read_to_the_end(stream: Stream, received: list[Message]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            received += await take(stream, 1)


async def test_a_stream_ends_when_its_token_does(
    settings: AllSettings, friends: tuple[Phone, Phone]
):
    _, second = friends
    short = TokenIssuer(settings.token.model_copy(update={"lifetime_s": 2}))
    stream = follow(second, 1, token=short.issue(second.user_id))
    began = time.monotonic()

    with refused_with(Unauthenticated):
        async with asyncio.timeout(PATIENCE_S):
            await stream.read()

    assert time.monotonic() - began > 0.5


async def test_what_cannot_be_is_refused(friends: tuple[Phone, Phone]):
    first, _ = friends
    nobody = Phone(first.stub, first.token, first.user_id, 2**50)
    oneself = Phone(first.stub, first.token, first.user_id, first.user_id)

    for stream, error in (
        (follow(nobody), UserNotFound),
        (follow(nobody, 7), UserNotFound),
        (follow(oneself), InvalidParameter),
        (follow(first, -1), InvalidParameter),
        (follow(first, token="forged"), Unauthenticated),
    ):
        with refused_with(error):
            await stream.read()


async def test_streams_leave_half_of_the_database_connections_to_the_calls(
    friends: tuple[Phone, Phone], monkeypatch: pytest.MonkeyPatch, settings: AllSettings
) -> None:
    looking = 0
    let_go = asyncio.Event()
    list_new = Chat.list_new

    async def look(chat: Chat, *who: int, after_ms: int) -> list[MessageRow]:
        nonlocal looking
        looking += 1
        await let_go.wait()
        return await list_new(chat, *who, after_ms=after_ms)

    monkeypatch.setattr(Chat, "list_new", look)
    one, _ = friends
    streams = [follow(one, pre_msg_time=1) for _ in range(3 * STREAMS_LOOKING)]
    first_frames = [asyncio.ensure_future(stream.read()) for stream in streams]

    async def all_that_may_are_looking() -> bool:
        return looking == STREAMS_LOOKING

    await eventually(all_that_may_are_looking)
    await one.send("hello")
    assert looking == STREAMS_LOOKING
    assert settings.mysql.pool_connections >= 2 * STREAMS_LOOKING
    let_go.set()

    async with asyncio.timeout(PATIENCE_S):
        frames = await asyncio.gather(*first_frames)
    assert {cast(Message, frame).content for frame in frames} == {"hello"}
    for stream in streams:
        stream.cancel()
