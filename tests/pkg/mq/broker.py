"""A real broker that is killed, frozen and short of memory, and what the tests run on it."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from pkg.errors import DeadlineExceeded, DependencyUnavailable
from pkg.mq.connection import BrokerConnection, RabbitMQSettings
from pkg.mq.consumer import Consumer, DeadLetter, Delivery
from pkg.mq.publisher import Publisher
from scripts.stack import Stack
from scripts.stack.servers.rabbitmq import RabbitMQ
from tests.eventually import PATIENCE_S, eventually
from tests.freezing import freeze, thaw

CTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"


class Broker:
    """The broker of the test run and what may happen to it; its supervisor starts it again when it dies."""

    def __init__(self, servers: Stack, settings: RabbitMQSettings) -> None:
        self.settings = settings
        self._servers = servers

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def freeze(self) -> None:
        freeze(self._pid)

    def resume(self) -> None:
        thaw(self._pid)

    def wait_ready(self) -> None:
        self._servers.wait_ready("rabbitmq")

    def ctl(self, *arguments: str) -> None:
        environment = os.environ | dict(RabbitMQ(self._servers.site).environment)
        command = [CTL, "-q", "-n", environment["RABBITMQ_NODENAME"], *arguments]
        subprocess.run(command, env=environment, check=True, capture_output=True)

    @property
    def _pid(self) -> int:
        return self._servers.pid("rabbitmq")


@asynccontextmanager
async def running(*parts: Publisher | Consumer) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for part in parts:
            tasks.create_task(part.run(stop))
        try:
            yield stop
        finally:
            stop.set()


@asynccontextmanager
async def open_publisher(broker, kind: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(broker.settings, [kind], name="test")
    async with running(publisher):
        await publisher.wait_connected(timeout_s=PATIENCE_S)
        yield publisher


class Recorder:
    """A handler that remembers what it was given, and fails as told."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.failure: Callable[[Sequence[Delivery]], Exception | None] = lambda _batch: None
        self.attempts = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def bodies(self) -> list[bytes]:
        return [body for batch in self.batches for body in batch]

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[DeadLetter]:
        self.attempts += 1
        await self.gate.wait()
        if failure := self.failure(batch):
            raise failure
        self.batches.append([delivery.body for delivery in batch])
        return [DeadLetter(item, "no JSON") for item in batch if item.body.startswith(b"junk")]


def make_consumer(broker, kind: str, handler, publisher: Publisher) -> Consumer:
    return Consumer(broker.settings, kind, handler, dead_letters=publisher, name="test")


async def count_messages(broker, queue: str) -> int:
    """How many messages wait in a queue, those in the hands of a consumer not counted."""
    connection = await BrokerConnection.open(broker.settings, name="test count")
    try:
        channel = await connection.open_channel()
        frame = await channel.call(channel.raw.queue_declare, queue, passive=True)
        return int(frame.method.message_count)
    finally:
        await connection.close()


async def wait_for_count(broker, queue: str, expected: int) -> None:
    async def counted() -> bool:
        return await count_messages(broker, queue) == expected

    await eventually(counted, within_s=60)


async def publish_until_accepted(publisher: Publisher, queue: str, body: bytes) -> None:
    async def accepted() -> bool:
        try:
            await publisher.publish(queue, body)
        except (DependencyUnavailable, DeadlineExceeded):
            return False
        return True

    await eventually(accepted, within_s=60)


async def elapsed(call: Awaitable[object]) -> float:
    started = time.monotonic()
    with pytest.raises((DependencyUnavailable, DeadlineExceeded)):
        await call
    return time.monotonic() - started
