"""How many messages wait in a queue, for commands that have to see it empty."""

import asyncio
from collections.abc import Sequence

from pkg.errors import DependencyUnavailable
from pkg.mq.connection import BrokerConnection, RabbitMQSettings, declare_queues


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
