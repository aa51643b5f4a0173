"""uvicorn with the limits that it lacks: the request line, the head, and clients that do not read."""

import asyncio
import os
import socket
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from loguru import logger
from uvicorn._types import ASGI3Application, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Response

from gateway.errors import HTTP_ERRORS, NO_STORE, error_response, render_raw_reply
from gateway.settings import GatewaySettings
from pkg.errors import DomainError, InternalError, InvalidParameter, UriTooLong

MAX_REQUEST_LINE_BYTES = 16 * 1024
MAX_HEADERS_BYTES = 64 * 1024
BROKEN_REQUEST = "请求格式不正确,请检查后重试"
REQUEST_LINE_REST = len("  HTTP/1.1\r\n")
DRAIN_S = 2  # how long a refused client may go on writing before it is cut off
SLOW_CLIENT_S = 10  # a WebSocket whose client reads nothing for this long is closed
WEBSOCKET_PING_S = 20
KEEP_ALIVE_S = 75
# Told to stop, idle connections are kept for this long: longer than nginx keeps one (config/nginx/listed.conf.template).
# A request may be on its way in them, and nobody would send one again that was sent and not answered.
LEAVING_S = 2.5
CANCELLED_WITHIN_S = 1
MAX_WEBSOCKET_FRAME_BYTES = 4 * 1024  # what clients send is ignored


class HttpProtocol(HttpToolsProtocol):
    """Refuses heads that are too long or broken with the envelope, without collecting them.

    A refusal waits for its turn: requests that came before the broken one get their replies first.
    """

    refusal: DomainError | None = None
    head_bytes = 0
    body_is_arriving = False
    is_leaving = False
    running: RequestResponseCycle | None = None

    def on_message_begin(self) -> None:
        """Begin counting the head of the next request."""
        self.head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin the request whose head has arrived."""
        super().on_headers_complete()
        self.body_is_arriving = True
        if self.parser.should_upgrade() and not self._should_upgrade():
            # The parser reads no further request after an upgrade that was only asked for.
            self.cycle.keep_alive = False
        if self.is_leaving:
            self.leave()

    def leave(self) -> None:
        """Say with the next reply that it is the last one in this connection."""
        self.is_leaving = True
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Tell the request that its body is whole."""
        self.body_is_arriving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin the next request, or refuse what came after the last one."""
        super().on_response_complete()
        if self.refusal is not None:
            self._refuse_in_turn(self.refusal)

    def on_url(self, url: bytes) -> None:
        """Collect the next piece of the request line."""
        super().on_url(url)
        line_bytes = len(self.parser.get_method()) + len(self.url) + REQUEST_LINE_REST
        if line_bytes > MAX_REQUEST_LINE_BYTES:
            self._refuse(UriTooLong())

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self.head_bytes += len(name) + len(value)
        if self.head_bytes > MAX_HEADERS_BYTES:
            self._refuse(InvalidParameter(BROKEN_REQUEST))
        super().on_header(name, value)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; after a refusal drop it, so that the client can finish and read the reply."""
        if self.refusal is None:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text is not for our clients
        """Answer with the reason why parsing ended, and close once the client had time to read it."""
        self.refusal = self.refusal or InvalidParameter(BROKEN_REQUEST)
        if self.body_is_arriving and self.cycle is not None:
            self._give_up(self.cycle)
        self._refuse_in_turn(self.refusal)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, unless an earlier request still waits for its reply."""
        if self._owes_a_reply():
            self.send_400_response("")
        else:
            super().handle_websocket_upgrade()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def _give_up(self, cycle: RequestResponseCycle) -> None:
        """End a request whose body broke off: its endpoint sees a client that has left."""
        self.pipeline = deque(entry for entry in self.pipeline if entry[0] is not cycle)
        cycle.disconnected = True
        cycle.message_event.set()

    def _owes_a_reply(self) -> bool:
        running = self.running
        return bool(self.pipeline) or (
            running is not None and not (running.response_complete or running.disconnected)
        )

    def _refuse_in_turn(self, error: DomainError) -> None:
        if self._owes_a_reply() or self.transport.is_closing():
            return
        # Half a reply, or a whole one, was given to the request that broke off: there is nothing to add.
        if not (self.body_is_arriving and self.cycle is not None and self.cycle.response_started):
            self.transport.write(render_raw_reply(error))
        self.loop.call_later(DRAIN_S, self.transport.close)

    def _refuse(self, error: DomainError) -> None:
        self.refusal = error
        # Stops the parser; uvicorn then asks for the reply.
        raise ValueError(type(error).__name__)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Disconnects a client whose buffer stays full, and refuses in the envelope and without a traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The library would refuse a handshake with a text of its own.
        self.conn.reject = _reject  # type: ignore[method-assign]

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; of a handshake that cannot be read, tell so and close."""
        super().data_received(data)
        if not self.handshake_initiated and (refusal := self.conn.data_to_send()):
            self.transport.write(b"".join(refusal))
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Drop what the client says, which nobody reads; text must be text all the same."""
        data, self.frames = b"".join(self.frames), []
        if self.curr_msg_data_type == "text":
            try:
                data.decode()
            except UnicodeDecodeError:
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """Close after a broken frame, and say so in one line: browsers send them every day."""
        super().handle_parser_exception()
        sent = self.conn.close_sent
        logger.bind(code=sent.code if sent else 0).info("websocket closed after a broken frame")

    async def send(self, message: ASGISendEvent) -> None:
        """Send once there is room; what a slow client has not read yet stays bounded."""
        try:
            async with asyncio.timeout(SLOW_CLIENT_S):
                await self.writable.wait()
        except TimeoutError as exc:
            self.transport.abort()
            raise ClientDisconnected from exc
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # A refusal ends the handshake too; uvicorn takes it for an endpoint that forgot to answer.
            self.handshake_complete = True


def _reject(status: int, text: str) -> Response:  # noqa: ARG001 - the text is not for our clients
    error: DomainError = InvalidParameter(BROKEN_REQUEST)
    if status in HTTP_ERRORS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        error = HTTP_ERRORS.get(status, InternalError)()
    reply = error_response(error)
    headers = Headers(reply.headers.items())
    headers.update({"Cache-Control": NO_STORE, "Connection": "close"})
    return Response(
        reply.status_code, HTTPStatus(reply.status_code).phrase, headers, bytes(reply.body)
    )


class Server(uvicorn.Server):
    """Stops on a signal without losing a request; uvicorn's own class would also raise the signal again and kill the process."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop accepting, finish what runs, return from `serve`."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer what is on its way in open connections, then what runs; close WebSockets with 1012.

        What takes longer than `stop_grace_s` is cancelled, and then has a moment to say so.
        """
        for server in self.servers:
            await self._stop_listening(server)
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpProtocol):
                connection.leave()
            else:
                connection.shutdown()
        clock = asyncio.get_running_loop().time
        leaving_until = clock() + LEAVING_S
        # Nobody is told of the end of a connection.
        while self.server_state.connections and clock() < leaving_until:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=CANCELLED_WITHIN_S)

    async def _stop_listening(self, server: asyncio.Server) -> None:
        """Close the sockets, and serve the connections that clients have and the loop has not taken yet."""
        listeners = [socket.socket(fileno=os.dup(item.fileno())) for item in server.sockets]
        server.close()
        waiting: list[socket.socket] = []
        for listener in listeners:
            with listener, suppress(BlockingIOError):
                while True:
                    waiting.append(listener.accept()[0])
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make_protocol, connection
            )

    def _make_protocol(self) -> HttpProtocol:
        return HttpProtocol(self.config, self.server_state, self.lifespan.state)


def make_server(app: FastAPI, settings: GatewaySettings) -> Server:
    """Return the server for `app`."""
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "loop": "uvloop",
        "http": HttpProtocol,
        "ws": WebSocketProtocol,
        "ws_ping_interval": WEBSOCKET_PING_S,
        "ws_ping_timeout": WEBSOCKET_PING_S,
        "ws_max_size": MAX_WEBSOCKET_FRAME_BYTES,
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": list(settings.trusted_proxies),
        "server_header": False,
        "access_log": False,
        # Longer than nginx keeps an idle connection, so that it never sends a request into one that closes.
        "timeout_keep_alive": KEEP_ALIVE_S,
        "log_config": None,
        # Below a warning uvicorn writes whole URLs, tokens included.
        "log_level": "warning",
        "timeout_graceful_shutdown": settings.stop_grace_s,
        "lifespan": "off",
    }
    return Server(uvicorn.Config(app, **options))
