"""Consuming: what lies in the queue goes into the registers."""

from collections.abc import Sequence

from dal.redis.actions import ActionStore
from pkg.mq.consumer import DeadLetter, Delivery
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
