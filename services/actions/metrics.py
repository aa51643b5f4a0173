"""What Prometheus hears of likes and follows on their way to MySQL."""

from prometheus_client import Counter, Gauge, Histogram

FLUSH_SECONDS = Histogram(
    "dousheng_flush_seconds", "Duration of flushes that found something", ["kind"]
)
EFFECT_SECONDS = Histogram(
    "dousheng_effect_seconds",
    "Time from an action's acceptance until everybody sees its effect",
    ["kind"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
FLUSHED = Counter("dousheng_flushed_total", "Actions that MySQL absorbed", ["kind"])
PENDING = Gauge("dousheng_pending_actions", "Actions that MySQL has not absorbed yet", ["kind"])
OLDEST_PENDING = Gauge(
    "dousheng_oldest_pending_seconds", "Age of the oldest pending action", ["kind"]
)
ASIDE = Gauge(
    "dousheng_actions_aside", "Actions that MySQL refused, waiting for a person", ["kind"]
)
QUEUED = Gauge("dousheng_queued_actions", "Actions in the queue, before the consumer", ["kind"])
DEAD_LETTERS = Gauge(
    "dousheng_dead_letters", "Messages that are no actions, waiting for a person", ["kind"]
)
