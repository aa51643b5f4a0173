"""Spans of OpenTelemetry as Zipkin's JSON has them, by OpenTelemetry's own rules for that, as far as the product makes use of them.

Zipkin has no links. Each becomes a tag `linked.<trace id>`, which Zipkin's search finds: what went on with that trace elsewhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

_KINDS = {
    Span.SPAN_KIND_SERVER: "SERVER",
    Span.SPAN_KIND_CLIENT: "CLIENT",
    Span.SPAN_KIND_PRODUCER: "PRODUCER",
    Span.SPAN_KIND_CONSUMER: "CONSUMER",
}
# What tells the other side's name, in this order.
_PEERS = ("peer.service", "db.system.name", "messaging.system")
_INSTANCE = "service.instance.id"


def to_zipkin(batch: ExportTraceServiceRequest) -> list[dict[str, Any]]:
    """Return the spans of a batch in Zipkin's format, version 2."""
    return [
        _translate(span, _read(group.resource.attributes))
        for group in batch.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _translate(span: Span, resource: Mapping[str, str]) -> dict[str, Any]:
    tags = _read(span.attributes)
    if _INSTANCE in resource:
        tags[_INSTANCE] = resource[_INSTANCE]
    tags |= {f"linked.{link.trace_id.hex()}": link.span_id.hex() for link in span.links}
    if span.status.code == Status.STATUS_CODE_ERROR:
        tags["error"] = span.status.message or "true"
    began_us = span.start_time_unix_nano // 1000
    translated: dict[str, Any] = {
        "traceId": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "name": span.name,
        "timestamp": began_us,
        # Zipkin takes 0 for unknown.
        "duration": max(1, span.end_time_unix_nano // 1000 - began_us),
        "localEndpoint": {"serviceName": resource.get("service.name", "unknown")},
        "tags": tags,
    }
    if span.parent_span_id:
        translated["parentId"] = span.parent_span_id.hex()
    if kind := _KINDS.get(span.kind):
        translated["kind"] = kind
        if peer := next((tags[key] for key in _PEERS if key in tags), None):
            translated["remoteEndpoint"] = {"serviceName": peer}
    return translated


def _read(attributes: Sequence[KeyValue]) -> dict[str, str]:
    return {item.key: _to_text(item.value) for item in attributes}


def _to_text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    return str(getattr(value, kind)) if kind else ""
