"""The one server interceptor: request id, metrics, admission, and errors from `raise` to a gRPC status."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from enum import Enum, auto
from functools import cache, partial
from http import HTTPStatus
from typing import Any, Self

import grpc
from loguru import logger

from pkg import errors, log, metrics
from pkg.rpc.admission import Admission
from pkg.rpc.metadata import REQUEST_ID_KEY
from pkg.rpc.status import ANSWERED, CODE, encode_error
from pkg.tracing import TRACEPARENT, RequestSpan, Span, is_trace_id, new_trace_id

# Reflection and health speak for themselves and are not worth a metric; each call that is carried with others has its own.
UNTOUCHED_PREFIXES = ("/grpc.", "/dousheng.CallService/")

Context = grpc.aio.ServicerContext[Any, Any]
Enter = Callable[[], AbstractContextManager[object]]


class Way(Enum):
    """How a call came."""

    ALONE = auto()
    STREAMING = auto()
    TOGETHER = auto()  # with others, in one stream: its request id may say enough of its trace


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Lets handlers raise: a DomainError becomes its status, `abort` passes, anything else is a logged internal error.

    With an `admission` it also refuses what is too much; health and reflection are always answered.
    """

    def __init__(self, admission: Admission | None = None) -> None:
        self._admission = admission or Admission(max_calls=sys.maxsize, max_streams=sys.maxsize)

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(UNTOUCHED_PREFIXES):
            return handler  # type: ignore[no-any-return]
        streaming = handler.response_streaming or handler.request_streaming
        report = partial(
            reported,
            method,
            _find_metadata(handler_call_details, REQUEST_ID_KEY),
            traceparent=_find_metadata(handler_call_details, TRACEPARENT),
            way=Way.STREAMING if streaming else Way.ALONE,
        )
        admit = partial(self._admission.enter, streaming=streaming)
        if handler.response_streaming:
            wrapped = _wrap_stream(handler.unary_stream, report, admit)
            return grpc.unary_stream_rpc_method_handler(
                wrapped, handler.request_deserializer, handler.response_serializer
            )
        wrapped = _wrap_unary(handler.stream_unary or handler.unary_unary, report, admit)
        build = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return build(wrapped, handler.request_deserializer, handler.response_serializer)


def _wrap_unary(behaviour: Any, report: Enter, admit: Enter) -> Any:
    async def call(request: Any, context: Context) -> Any:
        try:
            with report(), admit():
                return await behaviour(request, context)
        except errors.DomainError as error:
            await _abort(context, error)

    return call


def _wrap_stream(behaviour: Any, report: Enter, admit: Enter) -> Any:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            with report(), admit():
                async for reply in behaviour(request, context):
                    yield reply
        except errors.DomainError as error:
            await _abort(context, error)

    return call


async def _abort(context: Context, error: errors.DomainError) -> None:
    await context.abort(error.grpc_code, error.message, encode_error(error))


class reported(RequestSpan):  # noqa: N801 - used as a context manager
    """Run one call under its request id, count and trace it, and report what it raises.

    Id and trace stay those of the context: each call has a task of its own, which ends with it.

    Args:
        method: with its service, "/dousheng.UserService/Login".
        request_id: as it came; without one the call gets its own.

    Raises:
        DomainError: in place of whatever the call raises.
    """

    def __init__(
        self, method: str, request_id: str | None, *, traceparent: str | None, way: Way = Way.ALONE
    ) -> None:
        self.name, self._given = _describe(method)
        self._request_id = request_id or log.new_request_id()
        self._traceparent = traceparent
        self._way = way

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        trace_id = self._request_id
        log.request_id.set(trace_id)
        is_called = self._way is Way.TOGETHER
        # Who calls with others has made sure of the id.
        if not is_called and not is_trace_id(trace_id):
            trace_id = new_trace_id()
        self.begin_request(trace_id, self._traceparent, is_called=is_called)
        if self._way is Way.STREAMING:
            self.is_ever_slow = False
        return self

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        error = self._report(exc)
        if self.is_recording:
            self.end()
        if error is not None and error is not exc:
            raise error from exc

    def _report(self, exc: BaseException | None) -> BaseException | None:
        """Tell metrics, log and trace what became of it; return the error that the caller gets."""
        error, code = exc, grpc.StatusCode.OK
        if isinstance(exc, Exception) and not isinstance(exc, grpc.aio.AbortError):
            error = _judge(exc, self)
            code = error.grpc_code
        elif exc is not None:
            code = grpc.StatusCode.CANCELLED
        seconds = time.perf_counter() - self._began
        metrics.observe(metrics.RPC_SERVED, seconds, self.name, code.name)
        if code is not grpc.StatusCode.OK:
            self.set(CODE, code.name)
        return error


@cache  # Methods are few.
def _describe(method: str) -> tuple[str, Mapping[str, str]]:
    """Return a method's own name, and the attributes of its spans."""
    return method.rpartition("/")[2], {**ANSWERED, "rpc.method": method.lstrip("/")}


def _judge(exc: Exception, span: Span) -> errors.DomainError:
    """Return what the caller is told, and tell log and trace what an operator has to know."""
    error = _to_domain_error(exc)
    _log_outage(error)
    if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(type(error).__name__)
    return error


def _log_outage(error: errors.DomainError) -> None:
    if isinstance(error, errors.DependencyRefused):
        logger.bind(error=str(error)).error("dependency refuses: an operator must act")
    elif isinstance(error, errors.DependencyUnavailable | errors.DeadlineExceeded):
        logger.bind(error=str(error), cause=repr(error.__cause__)).warning("dependency failed")


def _to_domain_error(exc: Exception) -> errors.DomainError:
    if isinstance(exc, errors.DomainError):
        return exc
    if isinstance(exc, NotImplementedError):
        return errors.Unimplemented()
    logger.opt(exception=exc).error("unexpected error in a handler")
    return errors.InternalError()


def _find_metadata(details: grpc.HandlerCallDetails, key: str) -> str | None:
    for name, value in details.invocation_metadata or ():
        if name == key and isinstance(value, str):
            return value
    return None
