"""What an operator watches about the queues."""

from prometheus_client import Counter, Gauge

PUBLISHED = Counter("dousheng_mq_published", "Messages sent, by outcome", ["queue", "outcome"])
CONSUMED = Counter("dousheng_mq_consumed", "Messages handled and acknowledged", ["queue"])
DEAD_LETTERED = Counter("dousheng_mq_dead_lettered", "Messages put aside as unreadable", ["queue"])
HOLDING = Gauge("dousheng_mq_holding", "1 while a batch waits for a server that is away", ["queue"])
CONNECTED = Gauge("dousheng_mq_connected", "1 while the broker is connected", ["role"])
