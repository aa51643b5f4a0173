"""The one place that builds an error reply, whatever raised and in whichever protocol."""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from loguru import logger
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from gateway.zero_values import list_zero_values
from pkg import errors
from pkg.tracing import current_trace_id

JSON = "application/json"
NO_STORE = "no-store"
TRACE_ID_HEADER = "x-trace-id"
HTTP_ERRORS: dict[int, type[errors.DomainError]] = {
    404: errors.RouteNotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    414: errors.UriTooLong,
}


def error_response(error: errors.DomainError, **facts: Any) -> Response:
    """Return the reply for `error`; `facts` stand in the envelope beside the code and the message."""
    headers = {}
    if trace_id := current_trace_id():
        headers[TRACE_ID_HEADER] = trace_id
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return Response(
        _render_envelope(error, facts), error.http_status, headers=headers, media_type=JSON
    )


def answer_error(error: errors.DomainError, scope: Scope) -> Response:
    """Return the reply for an error that ended a request, and log what an operator has to know about it.

    A business error carries the fields of the endpoint at their zero values: published clients read `token` or
    `video_list` before they look at `status_code`.
    """
    if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        logger.bind(error=str(error)).warning("dependency failed")
    if error.http_status != HTTPStatus.OK:
        return error_response(error)
    return error_response(error, **scope["app"].state.zero_values.get(scope["path"], {}))


def render_raw_reply(error: errors.DomainError) -> bytes:
    """Return a whole HTTP/1.1 reply, for requests that are refused before they are parsed."""
    body = _render_envelope(error, {})
    head = (
        f"HTTP/1.1 {error.http_status} {HTTPStatus(error.http_status).phrase}\r\ncontent-type: {JSON}\r\n"
        f"content-length: {len(body)}\r\ncache-control: {NO_STORE}\r\nx-content-type-options: nosniff\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def missing_parameter(name: str) -> errors.InvalidParameter:
    """Return the error that says which parameter was left out."""
    return errors.InvalidParameter(f"缺少参数 {name},请补全后重试")


def improper_parameter(name: str) -> errors.InvalidParameter:
    """Return the error that says which parameter is not what it must be."""
    return errors.InvalidParameter(f"参数 {name} 不正确,请检查后重试")


def describe_close(error: errors.DomainError) -> tuple[int, str]:
    """Return the code and reason that close a WebSocket: 1013 where trying again may help, else 1011."""
    code = 1013 if error.retry_after_s is not None else 1011
    # A close frame carries at most 123 bytes of reason; a Chinese character takes three.
    return code, error.message[:40]


def add_error_handlers(app: FastAPI) -> None:
    """Turn everything that an endpoint of `app` may raise on purpose into the envelope."""
    app.state.zero_values = list_zero_values(app)
    app.exception_handler(errors.DomainError)(_handle_domain_error)
    app.exception_handler(RequestValidationError)(_handle_validation_error)
    app.exception_handler(WebSocketRequestValidationError)(_handle_validation_error)
    app.exception_handler(HTTPException)(_handle_http_exception)


def render_error_table() -> str:
    """Return the documents' table of error classes in Markdown, made from `pkg.errors`."""
    lines = [
        "| `status_code` | HTTP | gRPC | Class | `status_msg` |",
        "|---|---|---|---|---|",
        "| 0 | 200 | OK | | 成功 |",
    ]
    lines += [
        f"| {cls.status_code} | {cls.http_status} | {cls.grpc_code.name} | `{cls.__name__}` | {cls.default_message} |"
        for cls in errors.list_error_classes()
    ]
    return "\n".join(lines) + "\n"


def _render_envelope(error: errors.DomainError, facts: dict[str, Any]) -> bytes:
    return orjson.dumps({"status_code": error.status_code, "status_msg": error.message, **facts})


async def _handle_domain_error(connection: HTTPConnection, exc: errors.DomainError) -> Response:
    return answer_error(exc, connection.scope)


async def _handle_validation_error(
    connection: HTTPConnection, exc: RequestValidationError | WebSocketRequestValidationError
) -> Response:
    problem = exc.errors()[0]
    name = str(problem["loc"][-1])
    is_missing = problem["type"] == "missing"
    error = missing_parameter(name) if is_missing else improper_parameter(name)
    return answer_error(error, connection.scope)


async def _handle_http_exception(_connection: HTTPConnection, exc: HTTPException) -> Response:
    error_class = HTTP_ERRORS.get(exc.status_code, errors.InternalError)
    response = error_response(error_class())
    response.headers.update(exc.headers or {})
    return response
