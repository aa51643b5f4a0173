"""What Prometheus hears of traces."""

from prometheus_client import Counter

SPANS = Counter(
    "dousheng_spans_total",
    "Spans that were kept, by outcome: sent, refused by the receiver, or dropped because the queue was full",
    ["outcome"],
)
