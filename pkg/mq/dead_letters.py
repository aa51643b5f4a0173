"""The dead letters of one kind, for a person (scripts/replay) and for the gauge that counts them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pika import spec

from pkg.errors import DependencyUnavailable
from pkg.mq.connection import (
    BrokerChannel,
    BrokerConnection,
    RabbitMQSettings,
    dead_queue,
    declare_queues,
    resolve,
    translate_amqp_errors,
    wait_any,
)
from pkg.mq.consumer import Delivery, read_headers


class DeadLetters:
    """Looks into `<kind>.dead`; what is not discarded goes back when the connection closes."""

    def __init__(self, channel: BrokerChannel, kind: str) -> None:
        self._channel = channel
        self._queue = dead_queue(kind)

    async def count(self) -> int:
        """Return how many letters wait, those that this object has read not counted."""
        declare = self._channel.raw.queue_declare
        reply = await self._channel.call(declare, self._queue, passive=True)
        return int(reply.method.message_count)

    async def read(self, limit: int) -> list[Delivery]:
        """Return up to `limit` letters that were not read yet, oldest first."""
        letters: list[Delivery] = []
        while len(letters) < limit and (letter := await self._read_one()):
            letters.append(letter)
        return letters

    async def _read_one(self) -> Delivery | None:
        got: asyncio.Future[Delivery | None] = asyncio.get_running_loop().create_future()

        def on_letter(_channel: object, method: Any, properties: Any, body: bytes) -> None:
            headers = read_headers(properties)
            resolve(got, Delivery(body, headers, method.delivery_tag, method.redelivered))

        raw = self._channel.raw
        raw.add_callback(lambda _frame: resolve(got, None), [spec.Basic.GetEmpty])
        with translate_amqp_errors():
            raw.basic_get(self._queue, on_letter)
        await wait_any(got, self._channel.lost)
        return got.result() if got.done() else None

    async def discard(self, letter: Delivery) -> None:
        """Take a letter that was read out of the queue for good."""
        with translate_amqp_errors():
            self._channel.raw.basic_ack(letter.delivery_tag)


@asynccontextmanager
async def open_dead_letters(settings: RabbitMQSettings, kind: str) -> AsyncIterator[DeadLetters]:
    """Connect to the broker for as long as the block runs.

    Raises:
        DependencyUnavailable: the broker is unavailable.
    """
    connection = await BrokerConnection.open(settings, name=f"{kind} dead letters")
    try:
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                channel = await connection.open_channel()
                await declare_queues(connection, channel, [kind])
        except TimeoutError as exc:
            raise DependencyUnavailable(detail="rabbitmq: no channel in time") from exc
        yield DeadLetters(channel, kind)
    finally:
        await connection.close()
