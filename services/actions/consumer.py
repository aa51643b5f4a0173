"""Consuming: what lies in the queue of one kind becomes pending in Redis."""

from collections.abc import Callable, Sequence
from functools import partial

from dal.redis.pending import PendingActions
from pkg.mq.connection import RabbitMQSettings
from pkg.mq.consumer import Consumer, DeadLetter, Delivery
from pkg.mq.publisher import Publisher
from pkg.tracing import TRACEPARENT
from services.actions.messages import MalformedAction, decode_action


def _nobody_listens() -> None:
    """Tell nobody."""


async def apply_batch(
    pending: PendingActions,
    batch: Sequence[Delivery],
    *,
    on_recorded: Callable[[], None] = _nobody_listens,
) -> list[DeadLetter]:
    """Make the actions of a batch pending, on Redis' disk; return the messages that are no actions.

    Raises:
        DependencyUnavailable: Redis is down; any part of the batch may be pending already, and applying it again does no harm.
    """
    actions, malformed, traceparents = [], [], {}
    for delivery in batch:
        try:
            action = decode_action(pending.kind, delivery.body)
        except MalformedAction as exc:
            malformed.append(DeadLetter(delivery, str(exc)))
        else:
            actions.append(action)
            traceparents[action.version] = delivery.headers.get(TRACEPARENT)
    # Before a flush can absorb them.
    await pending.traces.note(traceparents)
    await pending.apply_actions(actions)
    on_recorded()
    return malformed


def make_consumer(
    settings: RabbitMQSettings,
    pending: PendingActions,
    dead_letters: Publisher,
    *,
    on_recorded: Callable[[], None] = _nobody_listens,
) -> Consumer:
    """Return the consumer; of all instances the broker makes one the active one.

    Args:
        on_recorded: told after each batch that became pending.
    """
    return Consumer(
        settings,
        pending.kind.value,
        partial(apply_batch, pending, on_recorded=on_recorded),
        dead_letters=dead_letters,
        name=pending.kind.value,
    )
