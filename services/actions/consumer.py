"""Consuming: what lies in the queue of one kind becomes pending in Redis."""

from collections.abc import Sequence

from dal.redis.pending import ActionStore
from pkg.mq.connection import RabbitMQSettings
from pkg.mq.consumer import Consumer, DeadLetter, Delivery
from pkg.mq.publisher import Publisher
from services.actions.messages import MalformedAction, decode_action


class ActionRecorder:
    """Makes the actions of a batch pending; the consumer's handler."""

    def __init__(self, store: ActionStore) -> None:
        self._store = store

    async def __call__(self, batch: Sequence[Delivery]) -> list[DeadLetter]:
        """Return the messages that are no actions; the others are on Redis' disk.

        Raises:
            DependencyUnavailable: Redis is away; any part of the batch may be recorded, which does no harm.
        """
        actions, malformed = [], []
        for delivery in batch:
            try:
                actions.append(decode_action(self._store.kind, delivery.body))
            except MalformedAction as exc:
                malformed.append(DeadLetter(delivery, str(exc)))
        await self._store.apply_actions(actions)
        return malformed


def make_consumer(
    settings: RabbitMQSettings, store: ActionStore, dead_letters: Publisher
) -> Consumer:
    """Return the consumer; of all instances the broker makes one the active one."""
    return Consumer(
        settings,
        store.kind.value,
        ActionRecorder(store),
        dead_letters=dead_letters,
        name=store.kind.value,
    )
