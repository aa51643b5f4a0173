"""What a service does when more is asked of it at once than it can answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from pkg.errors import RateLimited
from pkg.rpc.admission import Admission
from pkg.rpc.interceptor import ErrorInterceptor
from pkg.rpc.status import decode_error
from protos import message_pb2_grpc
from protos.message_pb2 import (
    Message,
    MessageActionReply,
    MessageActionRequest,
    MessageChatReply,
    MessageChatRequest,
    MessageStreamRequest,
)

REFUSAL = (grpc.StatusCode.RESOURCE_EXHAUSTED, RateLimited, 1)


class Waiting(message_pb2_grpc.MessageServiceServicer):
    """Answers nothing until it is let go; a stream begins with a message."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.begun = asyncio.Semaphore(0)

    async def MessageAction(
        self, request: MessageActionRequest, context: Any
    ) -> MessageActionReply:
        self.begun.release()
        await self.let_go.wait()
        return MessageActionReply()

    async def MessageChat(self, request: MessageChatRequest, context: Any) -> MessageChatReply:
        return MessageChatReply()

    async def MessageStream(
        self, request: MessageStreamRequest, context: Any
    ) -> AsyncIterator[Message]:
        self.begun.release()
        await self.let_go.wait()
        yield Message(id=1)


@asynccontextmanager
async def serve(handler: Waiting, admission: Admission) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server(interceptors=[ErrorInterceptor(admission)])
    message_pb2_grpc.add_MessageServiceServicer_to_server(handler, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


async def is_refused(call: Any) -> bool:
    try:
        await call
    except grpc.aio.AioRpcError as exc:
        error = decode_error(exc)
        return (exc.code(), type(error), error.retry_after_s) == REFUSAL
    return False


@pytest.fixture
def handler() -> Waiting:
    return Waiting()


@pytest.fixture
async def channel(handler: Waiting) -> AsyncIterator[grpc.aio.Channel]:
    async with serve(handler, Admission(max_calls=2, max_streams=1)) as opened:
        yield opened


async def test_a_flood_of_calls_is_refused_at_once_and_places_come_back(handler, channel):
    stub = message_pb2_grpc.MessageServiceStub(channel)
    running = [asyncio.ensure_future(stub.MessageAction(MessageActionRequest())) for _ in range(2)]
    async with asyncio.timeout(5):
        for _ in running:
            await handler.begun.acquire()

    async with asyncio.timeout(5):
        calls = [is_refused(stub.MessageAction(MessageActionRequest())) for _ in range(200)]
        refused = await asyncio.gather(*calls)

    assert all(refused)
    handler.let_go.set()
    await asyncio.gather(*running)
    assert not await is_refused(stub.MessageAction(MessageActionRequest(), timeout=5))


async def test_calls_and_streams_do_not_shut_each_other_out(handler, channel):
    stub = message_pb2_grpc.MessageServiceStub(channel)
    stream = stub.MessageStream(MessageStreamRequest())
    first = asyncio.ensure_future(stream.read())
    async with asyncio.timeout(5):
        await handler.begun.acquire()

    assert await is_refused(stub.MessageStream(MessageStreamRequest()).read())
    call = asyncio.ensure_future(stub.MessageAction(MessageActionRequest()))
    async with asyncio.timeout(5):
        await handler.begun.acquire()
    handler.let_go.set()

    await call
    assert (await first).id == 1


async def test_a_stream_that_its_client_leaves_gives_its_place_back(handler, channel):
    stub = message_pb2_grpc.MessageServiceStub(channel)
    stream = stub.MessageStream(MessageStreamRequest())
    reading = asyncio.ensure_future(stream.read())
    async with asyncio.timeout(5):
        await handler.begun.acquire()
    stream.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    handler.let_go.set()

    async with asyncio.timeout(5):
        while await is_refused(stub.MessageStream(MessageStreamRequest()).read()):
            pass


async def test_a_full_service_still_tells_its_health(handler, channel):
    stub = message_pb2_grpc.MessageServiceStub(channel)
    running = [asyncio.ensure_future(stub.MessageAction(MessageActionRequest())) for _ in range(2)]
    async with asyncio.timeout(5):
        for _ in running:
            await handler.begun.acquire()

    checks = [
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        for _ in range(10)
    ]

    assert len(await asyncio.gather(*checks)) == 10
    handler.let_go.set()
    await asyncio.gather(*running)
