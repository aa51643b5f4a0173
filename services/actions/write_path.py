"""The write path of one kind, put together: what accepts actions, and what runs beside the calls."""

from collections.abc import Sequence
from dataclasses import dataclass

from dal.redis.clock import VersionClock
from dal.redis.pending import PendingActions
from dal.registers.model import Kind
from pkg.mq.connection import RabbitMQSettings
from pkg.mq.publisher import Publisher
from pkg.rpc.server import Background
from services.actions.consumer import make_consumer
from services.actions.effect import EffectWait
from services.actions.flusher import (
    BacklogGauges,
    Flusher,
    FlushingServiceSettings,
    make_scheduler,
)
from services.actions.intake import ActionIntake, ExistenceCache
from services.actions.load import ActionLoad
from services.foundation import Foundation


@dataclass(frozen=True)
class WritePath:
    """Accepting is for the handler; publisher, consumer and flush run in the background, with what the foundation runs."""

    intake: ActionIntake
    background: Sequence[Background]


def make_write_path(
    kind: Kind,
    base: Foundation,
    *,
    targets: ExistenceCache,
    rabbitmq: RabbitMQSettings,
    flushing: FlushingServiceSettings,
) -> WritePath:
    """Return the write path of one kind; `targets` says which of its targets exist."""
    publisher = Publisher(rabbitmq, [kind.value], name=kind.value)
    pending = PendingActions(base.redis, kind)
    load = ActionLoad()
    flusher = Flusher(
        base.database,
        pending,
        base.changes,
        batch_size=flushing.flush_batch_actions,
        load=load,
    )
    consumer = make_consumer(rabbitmq, pending, publisher, on_recorded=flusher.wake)
    scheduler = make_scheduler(flusher, BacklogGauges(pending, rabbitmq), flushing)
    intake = ActionIntake(
        kind,
        targets=targets,
        clock=VersionClock(base.redis),
        publisher=publisher,
        effect=EffectWait(base.database, pending, load, wait_s=flushing.effect_wait_s),
    )
    return WritePath(intake, [*base.background, publisher.run, consumer.run, scheduler.run])
