"""The timed jobs of a service of actions: what is pending goes from Redis to MySQL."""

from dal.db.engine import Database
from dal.redis.actions import ActionStore
from pkg.scheduler import Scheduler
from pkg.settings import RabbitMQSettings
from services.actions.flusher import BacklogGauges, Flusher
from services.actions.settings import (
    BACKLOG_INTERVAL_S,
    DEAD_LETTERS_INTERVAL_S,
    ActionServiceSettings,
)


def make_scheduler(
    settings: ActionServiceSettings,
    *,
    rabbitmq: RabbitMQSettings,
    database: Database,
    store: ActionStore,
) -> Scheduler:
    """Return the scheduler that flushes, and tells how far behind MySQL is."""
    flusher = Flusher(database, store, batch_size=settings.flush_batch_size)
    gauges = BacklogGauges(store, rabbitmq)
    scheduler = Scheduler()
    scheduler.every(settings.flush_interval_s, flusher.run, "flush")
    scheduler.every(BACKLOG_INTERVAL_S, gauges.measure_pending, "measure pending actions")
    scheduler.every(DEAD_LETTERS_INTERVAL_S, gauges.count_dead_letters, "count dead letters")
    return scheduler
