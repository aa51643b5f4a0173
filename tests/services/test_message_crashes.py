"""SIGKILL of the message service, of Redis and of MySQL: no message that was acknowledged is lost or hidden, none comes twice."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

import grpc
import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select

from dal.db.engine import Database
from dal.db.models import Conversation, Message
from dal.participants import Participants
from dal.redis.keys import chat_key
from pkg.token import TokenIssuer
from protos import message_pb2_grpc
from protos.message_pb2 import MessageStreamRequest
from scripts.stack.stack import Stack
from tests.accounts import UserFactory
from tests.chat import Phone, befriend
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.programs import Program, running_module

STALE_MARK_S = 0.5


@pytest.fixture
async def people(database: Database, make_user: UserFactory) -> tuple[int, int]:
    participants = await make_user(), await make_user()
    await befriend(database, participants)
    return participants


@asynccontextmanager
async def running_service(servers: Stack) -> AsyncIterator[tuple[Program, grpc.aio.Channel]]:
    environment = servers.environment() | {"DOUSHENG_MESSAGE__STALE_MARK_S": str(STALE_MARK_S)}
    address = f"127.0.0.1:{environment['DOUSHENG_MESSAGE__PORT']}"
    async with running_module("services.message", environment=environment) as program:
        await program.printed("serving")
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options) as channel:
            yield program, channel


def make_phones(
    settings: AllSettings, channel: grpc.aio.Channel, people: tuple[int, int]
) -> tuple[Phone, Phone]:
    stub, issuer = message_pb2_grpc.MessageServiceStub(channel), TokenIssuer(settings.token)
    first, second = people
    return (
        Phone(stub, issuer.issue(first), first, second),
        Phone(stub, issuer.issue(second), second, first),
    )


@dataclass
class Talk:
    """One phone sends numbers, the other one polls, and both go on through every fault."""

    sender: Phone
    reader: Phone
    acknowledged: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    refused: int = 0
    number: int = 0
    pre_msg_time: int = 1

    async def send(self) -> None:
        number, self.number = self.number, self.number + 1
        try:
            await self.sender.send(str(number))
        except grpc.aio.AioRpcError:
            self.refused += 1  # It may have been stored or not.
            await asyncio.sleep(0.05)  # As an app does before it tries again.
        else:
            self.acknowledged.append(number)

    async def poll(self) -> None:
        with suppress(grpc.aio.AioRpcError):
            for message in await self.reader.read(self.pre_msg_time):
                self.seen.append(int(message.content))
                self.pre_msg_time = message.create_time

    async def go_on(self, stop: asyncio.Event) -> None:
        async def sending() -> None:
            while not stop.is_set():
                await self.send()

        async def polling() -> None:
            while not stop.is_set():
                await self.poll()
                await asyncio.sleep(0.02)  # The pace of the load.

        await asyncio.gather(sending(), polling())

    async def check(self) -> None:
        """Everything that was acknowledged is seen, once and in order."""

        async def everything_is_seen() -> bool:
            await self.poll()
            return set(self.acknowledged) <= set(self.seen)

        await eventually(everything_is_seen)
        assert self.seen == sorted(set(self.seen))


async def test_a_service_that_is_killed_between_commit_and_settling_hides_nothing(
    servers: Stack,
    settings: AllSettings,
    *,
    database: Database,
    actions_redis: Redis,
    people: tuple[int, int],
):
    participants, admin = Participants.of(*people), actions_redis
    async with running_service(servers) as (program, channel):
        first, second = make_phones(settings, channel, people)
        await first.send("一")
        known = (await second.read())[-1].create_time
        # The send has set its mark and waits for the conversation; then Redis takes no more writes, and the send commits.
        async with database.write() as connection:
            row = select(Conversation.id).where(Conversation.low_user_id == participants.low_id)
            await connection.execute(row.with_for_update())
            sending = asyncio.create_task(first.send("二"))
            await eventually(lambda: has_mark(admin, participants))
            await admin.client_pause(10_000, all=False)
        await eventually(lambda: count_messages(database, participants, 2))
        program.send(signal.SIGKILL)
        await program.ended()
        await asyncio.gather(sending, return_exceptions=True)
        await admin.client_unpause()
        assert await has_mark(admin, participants)

    async with running_service(servers) as (_, channel):
        first, second = make_phones(settings, channel, people)
        assert await second.texts(known) == ["二"]
        last = (await second.read())[-1].create_time

        async def poll_clears_mark() -> bool:
            assert await second.read(last) == []
            return not await has_mark(admin, participants)

        # The mark of the dead sender is stale after a while; then a reader clears it, and polls are cheap again.
        await eventually(poll_clears_mark)
        await first.send("三")
        assert await second.texts(last) == ["三"]


async def test_a_service_that_stops_ends_its_streams(
    servers: Stack, settings: AllSettings, people: tuple[int, int]
):
    async with running_service(servers) as (program, channel):
        first, second = make_phones(settings, channel, people)
        await first.send("一")
        request = MessageStreamRequest(token=second.token, to_user_id=first.user_id, pre_msg_time=1)
        stream = second.stub.MessageStream(request)
        await stream.read()

        program.send(signal.SIGTERM)

        assert await program.ended(within_s=15) == 0
        with pytest.raises(grpc.aio.AioRpcError):
            await stream.read()
        assert "Traceback" not in program.output


async def has_mark(redis: Redis, participants: Participants) -> bool:
    fields = cast("list[bytes]", await redis.hkeys(chat_key(participants)))
    return any(name.startswith(b"mark:") for name in fields)


async def count_messages(database: Database, participants: Participants, wanted: int) -> bool:
    statement = select(func.count()).where(
        Message.from_user_id.in_([participants.low_id, participants.high_id])
    )
    async with database.read_source() as connection:
        return bool((await connection.execute(statement)).scalar_one() == wanted)


@pytest.mark.parametrize("server", ["redis-actions", "mysql"])
async def test_a_server_that_is_killed_loses_and_hides_nothing(
    servers: Stack, settings: AllSettings, people: tuple[int, int], server: str
):
    async with running_service(servers) as (_, channel):
        talk = Talk(*make_phones(settings, channel, people))
        stop = asyncio.Event()
        going_on = asyncio.create_task(talk.go_on(stop))
        for _ in range(2):
            before = len(talk.acknowledged)
            await eventually(lambda: len(talk.acknowledged) > before + 10)  # noqa: B023
            os.kill(servers.pid(server), signal.SIGKILL)
            await asyncio.to_thread(servers.wait_ready, server)
        healed = len(talk.acknowledged)
        await eventually(lambda: len(talk.acknowledged) > healed + 10)
        stop.set()
        await going_on

        await talk.check()


async def test_a_service_that_is_killed_while_it_sends_loses_and_hides_nothing(
    servers: Stack, settings: AllSettings, people: tuple[int, int]
):
    talk: Talk | None = None
    for _ in range(2):
        async with running_service(servers) as (program, channel):
            sender, reader = make_phones(settings, channel, people)
            talk = talk or Talk(sender, reader)
            talk.sender, talk.reader = sender, reader
            stop = asyncio.Event()
            going_on = asyncio.create_task(talk.go_on(stop))
            enough = len(talk.acknowledged) + 10
            await eventually(lambda: len(talk.acknowledged) > enough)  # noqa: B023
            program.send(signal.SIGKILL)
            await program.ended()
            stop.set()
            await going_on

    async with running_service(servers) as (_, channel):
        assert talk is not None
        talk.sender, talk.reader = make_phones(settings, channel, people)
        await talk.check()
