"""A receiver of OpenTelemetry's protocol, by HTTP: keeps the spans that come, or answers as bad receivers do."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

Value = str | int | float | bool


@dataclass(frozen=True)
class ReceivedSpan:
    """One span as it came, with the process that sent it."""

    process: str
    name: str
    kind: str  # "SERVER"
    trace_id: str
    span_id: str
    parent_id: str  # "": none
    attributes: dict[str, Value]
    linked_trace_ids: frozenset[str]
    error: str | None
    seconds: float


class OtlpReceiver:
    """What has come so far. `says` and `let_answer` make it a bad one."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.reply = (200, ExportTraceServiceResponse().SerializeToString())
        self.let_answer = threading.Event()
        self.let_answer.set()
        self.requests = 0
        self._bodies: list[bytes] = []
        self._spans: list[ReceivedSpan] = []
        self._lock = threading.Lock()

    def says(self, status: int, body: bytes = b"") -> None:
        """Answer so from now on, and keep nothing of what comes."""
        self.reply = (status, body)

    def take(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return the reply to a request."""
        self.requests += 1
        self.let_answer.wait()
        if path != "/v1/traces":
            return 404, b""
        with self._lock:
            if self.reply[0] == 200:
                self._bodies.append(body)
        return self.reply

    @property
    def spans(self) -> list[ReceivedSpan]:
        """Every span that has come."""
        with self._lock:
            bodies, self._bodies = self._bodies, []
            for body in bodies:
                self._spans += _decode(ExportTraceServiceRequest.FromString(body))
            return list(self._spans)

    def trace(self, trace_id: str) -> "Trace":
        """Return what has come of one trace, and of those that link to it."""
        return Trace(trace_id, [span for span in self.spans if span.trace_id == trace_id])

    def linked_to(self, trace_id: str, name: str) -> "Trace | None":
        """Return the trace of a span of this name that goes on with what another trace began."""
        for span in self.spans:
            if span.name == name and trace_id in span.linked_trace_ids:
                return self.trace(span.trace_id)
        return None


@dataclass(frozen=True)
class Trace:
    """The spans of one trace."""

    trace_id: str
    spans: list[ReceivedSpan] = field(default_factory=list)

    def named(self, name: str) -> ReceivedSpan | None:
        """Return the first span of this name."""
        return next((span for span in self.spans if span.name == name), None)

    @property
    def roots(self) -> list[str]:
        """The names of spans that have no parent here: one, where the trace is connected."""
        known = {span.span_id for span in self.spans}
        return [span.name for span in self.spans if span.parent_id not in known]

    @property
    def steps(self) -> set[tuple[str, str]]:
        """Which process did what."""
        return {(span.process, span.name) for span in self.spans}

    @property
    def sql(self) -> str:
        """The texts of all statements."""
        return "\n".join(str(span.attributes.get("db.query.text", "")) for span in self.spans)

    def path_to(self, name: str) -> list[str]:
        """Return the names of the spans from the root to the first span of this name."""
        by_id = {span.span_id: span for span in self.spans}
        span, path = self.named(name), []
        while span is not None:
            path.append(span.name)
            span = by_id.get(span.parent_id)
        return path[::-1]


@contextmanager
def receiving() -> Iterator[OtlpReceiver]:
    """Listen on a free port while the block runs."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = receiver = OtlpReceiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.let_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    receiver: OtlpReceiver


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, reply = cast("_Server", self.server).receiver.take(self.path, body)
        with suppress(ConnectionError):  # it did not wait so long
            self.send_response(status)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def _decode(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for of_resource in request.resource_spans:
        process = _to_dict(of_resource.resource.attributes)["service.name"]
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield _to_received(span, str(process))


def _to_received(span: Span, process: str) -> ReceivedSpan:
    return ReceivedSpan(
        process=process,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_to_dict(span.attributes),
        linked_trace_ids=frozenset(link.trace_id.hex() for link in span.links),
        error=span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _to_dict(attributes: Iterable[KeyValue]) -> dict[str, Value]:
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value")
        for item in attributes
    }
