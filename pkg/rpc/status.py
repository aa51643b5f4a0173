"""How a DomainError travels in a gRPC status, both ways.

The status message is the text for the person who holds the phone. The details hold a `google.rpc.ErrorInfo`: `reason` is
the class name, `metadata` holds `status_code` and, where set, `retry_after_s`.
"""

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from pkg import errors

ERROR_DOMAIN = "dousheng"
# Another instance has the same dependencies: only a failure of the transport is worth a retry.
DO_NOT_RETRY = ("grpc-retry-pushback-ms", "-1")
CODE = "rpc.response.status_code"  # OpenTelemetry's name for it
CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def describe_code(code: grpc.StatusCode) -> dict[str, str]:
    """Return the attributes of the span of a call that ended with this code."""
    return {"rpc.system.name": "grpc", CODE: code.name}


# By far the most end so.
ANSWERED = describe_code(grpc.StatusCode.OK)


def make_status(error: errors.DomainError) -> Status:
    """Return the status that carries `error`."""
    metadata = {"status_code": str(error.status_code)}
    if error.retry_after_s is not None:
        metadata["retry_after_s"] = str(error.retry_after_s)
    detail = Any()
    detail.Pack(ErrorInfo(reason=type(error).__name__, domain=ERROR_DOMAIN, metadata=metadata))
    code: int = error.grpc_code.value[0]
    return Status(code=code, message=error.message, details=[detail])


def encode_error(error: errors.DomainError) -> tuple[tuple[str, str | bytes], ...]:
    """Return the trailing metadata that carry `error`."""
    return (*rpc_status.to_status(make_status(error)).trailing_metadata, DO_NOT_RETRY)


def decode_error(failure: grpc.aio.AioRpcError) -> errors.DomainError:
    """Return the DomainError that a failed call means; its cause is for the caller to chain."""
    status = rpc_status.from_call(failure)
    found = _find_error(status) if status else None
    return found or _from_transport(failure.code(), failure.details())


def read_status(status: Status) -> errors.DomainError:
    """Return the DomainError that a status means."""
    code = CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _find_error(status) or _from_transport(code, status.message)


def _find_error(status: Status) -> errors.DomainError | None:
    info = ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            error_class = errors.find_error_class(int(info.metadata["status_code"]))
            if error_class is not None:
                retry_after = info.metadata.get("retry_after_s")
                return error_class(
                    status.message, retry_after_s=int(retry_after) if retry_after else None
                )
    return None


def _from_transport(code: grpc.StatusCode, details: str | None) -> errors.DomainError:
    detail = f"{code.name}: {details}"
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return errors.DependencyUnavailable(detail=detail)
        case grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.CANCELLED:
            return errors.DeadlineExceeded(detail=detail)
        case grpc.StatusCode.UNIMPLEMENTED:
            return errors.Unimplemented(detail=detail)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return errors.RateLimited(detail=detail)
        case _:
            return errors.InternalError(detail=detail)
