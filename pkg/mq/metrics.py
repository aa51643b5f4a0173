"""What Prometheus hears of the queues."""

from prometheus_client import Counter, Gauge

PUBLISHED = Counter(
    "dousheng_mq_published_total", "Messages sent, by outcome", ["queue", "outcome"]
)
CONSUMED = Counter("dousheng_mq_consumed_total", "Messages handled and acknowledged", ["queue"])
DEAD_LETTERED = Counter(
    "dousheng_mq_dead_lettered_total", "Messages put with the dead letters", ["queue"]
)
HOLDING = Gauge("dousheng_mq_holding", "1 while a batch waits for a server that is down", ["queue"])
CONNECTED = Gauge("dousheng_mq_connected", "1 while the broker is connected", ["role"])
