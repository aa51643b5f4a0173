"""The one ASGI middleware: what happens to every request, whatever its endpoint.

Pure ASGI and a single layer, because each layer costs a third of what the gateway can do.
"""

import asyncio
import re
import time
from collections.abc import Mapping

from loguru import logger
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from gateway.errors import NO_STORE, TRACE_ID_HEADER, answer_error, describe_close
from gateway.forms import find_body_parser, merge_body
from gateway.metrics import HTTP_SERVED, WEBSOCKETS
from gateway.rate_limit import RequestLimits
from pkg import log
from pkg.errors import DeadlineExceeded, DependencyUnavailable, DomainError, InternalError
from pkg.metrics import observe
from pkg.tracing import TRACEPARENT, RequestSpan, new_trace_id

PREFIX = "/douyin"
UPLOAD_PATH = "/douyin/publish/action/"
# Never limited and never logged.
QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
NO_CACHE = (b"cache-control", NO_STORE.encode("ascii"))
NO_SNIFF = (b"x-content-type-options", b"nosniff")
DEADLINE_S = 10
# Its first group: one that can be the id of a trace as well, as nginx's are.
REQUEST_ID = re.compile(rb"((?!0{32})[0-9a-f]{32})|[A-Za-z0-9._-]{1,64}")
NAMED_TRACE = TRACE_ID_HEADER.encode("ascii")
TRACEPARENT_HEADER = TRACEPARENT.encode("ascii")
STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
# The others are one in the metrics: a method is a word that the client chooses.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
# By method and path; everything else is FastAPI's.
Endpoints = Mapping[tuple[str, str], ASGIApp]
CLIENT_GONE = 499  # nginx's number for it; only metrics and logs see it
REQUEST_SERVED = log.FrequentEvent("request served", __name__)


class Exchange(RequestSpan):
    """One request and what became of it, from its making to `finish`."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.status = 0
        self.request_id, is_trace_id = _choose_request_id(scope)
        client = scope.get("client")
        # uvicorn gives port 0 to an address that a trusted proxy has told; a stranger could have every trace kept.
        is_told = client is not None and client[1] == 0
        self.begin_request(
            self.request_id if is_trace_id else new_trace_id(),
            _find_traceparent(scope) if is_told else None,
        )
        if scope["type"] == "websocket" or scope["path"] == UPLOAD_PATH:
            self.is_ever_slow = False
        self._send = send
        self._began = time.perf_counter()

    async def send(self, message: Message) -> None:
        """Pass a message on; the one that begins the reply gets the headers that every reply carries."""
        if message["type"] in STARTS:
            self.status = message.get("status", 101)
            headers = [*message.get("headers", ()), NO_SNIFF]
            # Only files, those behind /docs and of the web client, have a life of their own.
            if not any(name.lower() == NO_CACHE[0] for name, _ in headers):
                headers.append(NO_CACHE)
            headers.append((b"x-request-id", self.request_id.encode("ascii")))
            # An error has named it already.
            if self.is_sampled and all(name != NAMED_TRACE for name, _ in headers):
                headers.append((NAMED_TRACE, self.trace_id.encode("ascii")))
            message["headers"] = headers
        await self._send(message)

    def finish(self) -> None:
        """Count and log the request, without anything that the client wrote, and end its span."""
        method, route = _method_of(self.scope), _route_of(self.scope)
        seconds = time.perf_counter() - self._began
        observe(HTTP_SERVED, seconds, method, route, str(self.status))
        if self.status >= 500:
            self.fail(f"status {self.status}")
        if self.scope["path"] not in QUIET_PATHS:
            REQUEST_SERVED.tell(
                {
                    "method": method,
                    "route": route,
                    "status": self.status,
                    "ms": round(seconds * 1000, 1),
                    "address": address_of(self.scope),
                    "viewer": self.scope.get("viewer_id", 0),
                }
            )
        if self.is_recording:
            self.end()

    def describe(self) -> None:
        method, route = _method_of(self.scope), _route_of(self.scope)
        self.rename(f"{method} {route}")
        self.set("dousheng.request_id", self.request_id)
        self.set("http.request.method", method)
        self.set("http.route", route)
        self.set("http.response.status_code", self.status)


class GatewayMiddleware:
    """Request id, paths, limits, form fields, deadline, metrics, log, and the last error handler."""

    def __init__(self, app: ASGIApp, limits: RequestLimits, endpoints: Endpoints) -> None:
        self._app = app
        self._limits = limits
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope["path"] = normalise_path(scope["path"])
        exchange = Exchange(scope, send)
        log.request_id.set(exchange.request_id)
        try:
            await self._serve(exchange, receive)
        finally:
            exchange.finish()

    async def _serve(self, exchange: Exchange, receive: Receive) -> None:
        try:
            await self._run(exchange, receive)
        except DomainError as exc:
            await _report(exchange, receive, exc)
        except asyncio.CancelledError:
            if exchange.status:
                raise
            # This process stops, and the request took longer than it waits for.
            await _report(exchange, receive, DependencyUnavailable(detail="the gateway stops"))
        except (ClientDisconnect, WebSocketDisconnect, ClientDisconnected):
            exchange.status = CLIENT_GONE
        except Exception as exc:  # noqa: BLE001 - the gateway's last handler
            logger.opt(exception=exc).error("unexpected error in an endpoint")
            await _report(exchange, receive, InternalError())

    async def _run(self, exchange: Exchange, receive: Receive) -> None:
        scope = exchange.scope
        path = scope["path"]
        if path not in QUIET_PATHS:
            self._limits.check_address(address_of(scope))
        if scope["type"] == "websocket":
            with WEBSOCKETS.track_inprogress():
                await self._app(scope, receive, exchange.send)
            return
        app = self._endpoints.get((scope["method"], path), self._app)
        if path == UPLOAD_PATH:
            await app(scope, receive, exchange.send)
            return
        deadline = asyncio.timeout(DEADLINE_S)
        try:
            async with deadline:
                parse = find_body_parser(scope)
                if parse is not None:
                    await merge_body(scope, receive, parse)
                await app(scope, receive, exchange.send)
        except TimeoutError as exc:
            if not deadline.expired():
                raise
            raise DeadlineExceeded from exc


def normalise_path(path: str) -> str:
    """Return the path as routes are declared: below the prefix with its trailing slash, no slash doubled.

    People type the app's base URL by hand, so that `//douyin/feed/` is common.
    """
    if "//" in path:
        path = re.sub("/{2,}", "/", path)
    if path.startswith(PREFIX) and not path.endswith("/"):
        path += "/"
    return path


def address_of(scope: Scope) -> str:
    """Return the client's address; behind a trusted proxy, the one that the proxy gives."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _method_of(scope: Scope) -> str:
    method: str = scope.get("method", "WEBSOCKET")
    return method if method in METHODS else "OTHER"


def _route_of(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "unmatched")


def _choose_request_id(scope: Scope) -> tuple[str, bool]:
    """Return the id of the request, and whether its trace can have it too: then one id is enough."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and (found := REQUEST_ID.fullmatch(value)):
            return str(value.decode("ascii")), found[1] is not None
    return log.new_request_id(), True


def _find_traceparent(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == TRACEPARENT_HEADER:
            return str(value.decode("latin-1"))
    return None


async def _report(exchange: Exchange, receive: Receive, error: DomainError) -> None:
    if exchange.status == 0:
        await answer_error(error, exchange.scope)(exchange.scope, receive, exchange.send)
    elif exchange.scope["type"] == "websocket":
        code, reason = describe_close(error)
        await exchange.send({"type": "websocket.close", "code": code, "reason": reason})
    else:
        # Half a reply cannot be taken back; the server closes the connection.
        raise RuntimeError("error after the reply began") from error
