"""How many messages wait in queues: for commands that have to see them empty, and for gauges."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pkg.errors import DependencyUnavailable
from pkg.mq.connection import (
    BrokerConnection,
    RabbitMQSettings,
    dead_queue,
    declare_queues,
)

# What the driver's error says where the broker knows no such queue.
NO_SUCH_QUEUE = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What an operator watches of the queues of one kind."""

    waiting: int  # no consumer has taken them
    consumers: int
    dead: int


async def count_waiting(settings: RabbitMQSettings, kinds: Sequence[str]) -> int:
    """Return how many messages no consumer has taken yet, in all of these queues.

    Raises:
        DependencyUnavailable: the broker is unavailable.
    """
    connection = await BrokerConnection.open(settings, name="depth of queues")
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            channel = await connection.open_channel()
            await declare_queues(connection, channel, kinds)
            declare = channel.raw.queue_declare
            replies = [await channel.call(declare, kind, passive=True) for kind in kinds]
    except TimeoutError as exc:
        raise DependencyUnavailable(detail="rabbitmq: no channel in time") from exc
    finally:
        await connection.close()
    return sum(int(reply.method.message_count) for reply in replies)


async def measure_queues(
    settings: RabbitMQSettings, kinds: Sequence[str]
) -> dict[str, QueueDepth | None]:
    """Return how each kind's queues are, None for a kind that lacks one; makes none.

    Raises:
        DependencyUnavailable: the broker is unavailable.
    """
    connection = await BrokerConnection.open(settings, name="look at queues")
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            return {kind: await _measure(connection, kind) for kind in kinds}
    except TimeoutError as exc:
        raise DependencyUnavailable(detail="rabbitmq: no channel in time") from exc
    finally:
        await connection.close()


async def _measure(connection: BrokerConnection, kind: str) -> QueueDepth | None:
    # The broker closes the channel on which somebody asks for a queue that does not exist.
    channel = await connection.open_channel()
    declare = channel.raw.queue_declare
    try:
        live = (await channel.call(declare, kind, passive=True)).method
        dead = (await channel.call(declare, dead_queue(kind), passive=True)).method
    except DependencyUnavailable as exc:
        if NO_SUCH_QUEUE not in exc.detail:
            raise
        return None
    return QueueDepth(live.message_count, live.consumer_count, dead.message_count)
