"""The keys of gRPC metadata that the gateway and the services agree on."""

from collections.abc import Mapping
from types import MappingProxyType

from pkg import log
from pkg.tracing import TRACEPARENT, current_call_traceparent, current_traceparent, is_known_by

REQUEST_ID_KEY = "x-request-id"
CLIENT_ADDRESS_KEY = "x-client-address"  # whose address the gateway saw

NO_METADATA: Mapping[str, str] = MappingProxyType({})


def with_trace(
    request_id: str, method: str, metadata: Mapping[str, str] = NO_METADATA
) -> Mapping[str, str]:
    """Return metadata of a call with the trace of this moment, unless nothing is traced or the request id says enough."""
    if is_known_by(request_id):
        return metadata
    traceparent = current_call_traceparent(method)
    return {**metadata, TRACEPARENT: traceparent} if traceparent else metadata


def own_metadata(
    method: str | None = None, metadata: Mapping[str, str] = NO_METADATA
) -> tuple[tuple[str, str], ...]:
    """Return what a call by itself carries: the request id and the trace of this moment, and `metadata`.

    Args:
        method: None: the call is no step of its own, as a stream that lasts for an hour.
    """
    traceparent = current_call_traceparent(method) if method else current_traceparent()
    trace = ((TRACEPARENT, traceparent),) if traceparent else ()
    return ((REQUEST_ID_KEY, log.request_id.get()), *metadata.items(), *trace)
