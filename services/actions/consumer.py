"""Consumes the queue of one kind into Redis."""

from dal.redis.actions import ActionStore
from pkg.mq.consumer import Consumer
from pkg.mq.publisher import Publisher
from pkg.settings import RabbitMQSettings
from services.actions.recorder import ActionRecorder


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
