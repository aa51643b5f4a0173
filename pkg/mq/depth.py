"""How many messages wait in queues: for commands that have to see them empty, and for gauges."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pkg.errors import DependencyUnavailable
from pkg.mq.connection import BrokerConnection, RabbitMQSettings, dead_queue, declare_queues


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages of one kind no consumer has taken yet."""

    waiting: int
    dead: int


async def measure_depth(settings: RabbitMQSettings, kind: str) -> Depth:
    """Return how many messages of a kind wait, and how many are dead letters.

    Raises:
        DependencyUnavailable: the broker is unavailable.
    """
    waiting, dead = await _count(settings, [kind], [kind, dead_queue(kind)])
    return Depth(waiting, dead)


async def count_waiting(settings: RabbitMQSettings, kinds: Sequence[str]) -> int:
    """Return how many messages no consumer has taken yet, in all of these queues.

    Raises:
        DependencyUnavailable: the broker is unavailable.
    """
    return sum(await _count(settings, kinds, kinds))


async def _count(
    settings: RabbitMQSettings, kinds: Sequence[str], queues: Sequence[str]
) -> list[int]:
    connection = await BrokerConnection.open(settings, name="depth of queues")
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            channel = await connection.open_channel()
            await declare_queues(connection, channel, kinds)
            declare = channel.raw.queue_declare
            replies = [await channel.call(declare, queue, passive=True) for queue in queues]
    except TimeoutError as exc:
        raise DependencyUnavailable(detail="rabbitmq: no channel in time") from exc
    finally:
        await connection.close()
    return [int(reply.method.message_count) for reply in replies]
