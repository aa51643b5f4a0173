"""Sending what is kept, by OTLP over HTTP: the one module that knows OpenTelemetry's SDK.

It never slows a request: spans wait in a bounded queue for a thread of its own. A receiver that is down, slow or answers rubbish costs
spans, which are counted, and one line in the log. The SDK's batch processor would count nothing and stop within 30 s.
"""

import os
import socket
import threading
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from time import monotonic, perf_counter_ns, time_ns
from typing import Self

from loguru import logger
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from pkg.tracing.context import TraceContext
from pkg.tracing.metrics import SPANS
from pkg.tracing.settings import TracingSettings
from pkg.tracing.spans import Kind, RecordedSpan, Root

MOST_WAITING = 4096
# Of one request to the receiver; small, because encoding holds the interpreter's lock.
BATCH_SPANS = 128
# So many do not wait for the next time.
MANY_SPANS = 512
LOOK_INTERVAL_S = 0.5
# The SDK's default. Waking up for it costs as much as two hundred spans: what the thread needs has left the processor's caches.
SEND_INTERVAL_S = 5
# How long the last batch may take to be counted once it has given up.
LAST_COUNT_S = 0.2
TRACES_PATH = "/v1/traces"
SCOPE = InstrumentationScope("dousheng")
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
NO_FAILURE = Status(StatusCode.UNSET)
FROM_ELSEWHERE = frozenset({Kind.SERVER, Kind.CONSUMER})


class SpanSender:
    """Sends spans while its block runs, and the last ones at its end, within `timeout_s`."""

    def __init__(
        self, settings: TracingSettings, *, process: str, exporter: SpanExporter | None = None
    ) -> None:
        self._endpoint = f"{settings.endpoint}{TRACES_PATH}"
        self._timeout_s = settings.timeout_s
        self._exporter = exporter or OTLPSpanExporter(self._endpoint, timeout=settings.timeout_s)
        self._resource = _describe(process)
        self._waiting: deque[RecordedSpan] = deque()
        self._stopping = threading.Event()
        self._gives_up_at_s = float("inf")
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._gives_up_at_s = monotonic() + self._timeout_s
        self._stopping.set()
        self._thread.join(self._timeout_s)
        # What waits for another try gives up at this, and is counted.
        self._exporter.shutdown()
        self._thread.join(LAST_COUNT_S)
        SPANS.labels("dropped").inc(len(self._waiting))

    def keep(self, root: Root) -> None:
        """Queue a root and its steps, as many as there is room for."""
        if root.left_out:
            root.set("dousheng.spans_left_out", root.left_out)
        spans = root.spans
        room = max(0, MOST_WAITING - len(self._waiting))
        self._waiting.extend(spans[:room])
        if room < len(spans):
            SPANS.labels("dropped").inc(len(spans) - room)

    def _run(self) -> None:
        sent_at_s = monotonic()
        while not self._stopping.wait(LOOK_INTERVAL_S):
            are_many = len(self._waiting) >= MANY_SPANS
            if are_many or monotonic() - sent_at_s >= SEND_INTERVAL_S:
                self._send_waiting()
                sent_at_s = monotonic()
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and monotonic() < self._gives_up_at_s:
            count = min(BATCH_SPANS, len(self._waiting))
            self._send([self._waiting.popleft() for _ in range(count)])

    def _send(self, spans: Sequence[RecordedSpan]) -> None:
        try:
            offset_ns = time_ns() - perf_counter_ns()
            readable = [_to_readable(span, self._resource, offset_ns) for span in spans]
            is_sent = self._exporter.export(readable) is SpanExportResult.SUCCESS
        except Exception as exc:  # noqa: BLE001 - the thread must outlive one bad batch
            logger.opt(exception=exc).error("spans cannot be made ready")
            is_sent = False
        SPANS.labels("sent" if is_sent else "refused").inc(len(spans))
        if is_sent == self._is_failing:
            self._is_failing = not is_sent
            log = logger.bind(endpoint=self._endpoint)
            if is_sent:
                log.info("spans are sent again")
            else:
                log.warning("spans cannot be sent")


class _Process(Resource):
    """A resource that is hashed once: the encoder asks for each span, and the SDK makes JSON of it every time."""

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash


def _describe(process: str) -> Resource:
    described = Resource.create(
        {
            "service.namespace": "dousheng",
            "service.name": process,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )
    return _Process(described.attributes, described.schema_url)


def _to_readable(span: RecordedSpan, resource: Resource, offset_ns: int) -> ReadableSpan:
    """Return what the exporter takes; `offset_ns` makes wall-clock time of the recorder's clock."""
    own = span.context
    parent = TraceContext(own.trace_id, span.parent_id, is_sampled=True)
    return ReadableSpan(
        span.name,
        context=_to_sdk(own),
        parent=_to_sdk(parent, is_remote=span.kind in FROM_ELSEWHERE) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        links=[Link(_to_sdk(context, is_remote=True)) for context in span.links],
        kind=SpanKind(span.kind),
        status=Status(StatusCode.ERROR, span.error) if span.error else NO_FAILURE,
        start_time=span.began_ns + offset_ns,
        end_time=span.ended_ns + offset_ns,
        instrumentation_scope=SCOPE,
    )


def _to_sdk(context: TraceContext, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(int(context.trace_id, 16), context.span_id, is_remote, SAMPLED)
