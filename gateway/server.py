"""uvicorn with the limits that it lacks: the request line, the head, and clients that do not read."""

import asyncio
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.errors import render_raw_reply
from gateway.settings import GatewaySettings
from pkg.errors import DomainError, InvalidParameter, UriTooLong

MAX_REQUEST_LINE_BYTES = 16 * 1024
MAX_HEADERS_BYTES = 64 * 1024
BROKEN_REQUEST = "请求格式不正确,请检查后重试"
REQUEST_LINE_REST = len("  HTTP/1.1\r\n")
DRAIN_S = 2  # how long a refused client may go on writing before it is cut off
SLOW_CLIENT_S = 10  # a WebSocket whose client reads nothing for this long is closed
WEBSOCKET_PING_S = 20
KEEP_ALIVE_S = 75
MAX_WEBSOCKET_FRAME_BYTES = 4 * 1024  # what clients send is ignored


class HttpProtocol(HttpToolsProtocol):
    """Refuses heads that are too long or broken with the envelope, without collecting them."""

    refusal: DomainError | None = None
    head_bytes = 0

    def on_message_begin(self) -> None:
        """Begin counting the head of the next request."""
        self.head_bytes = 0
        super().on_message_begin()

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
        self.transport.write(render_raw_reply(self.refusal))
        self.loop.call_later(DRAIN_S, self.transport.close)

    def _refuse(self, error: DomainError) -> None:
        self.refusal = error
        # Stops the parser; uvicorn then asks for the reply.
        raise ValueError(type(error).__name__)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Disconnects a client whose buffer stays full, instead of waiting for it indefinitely."""

    async def send(self, message: ASGISendEvent) -> None:
        """Send once there is room; what a slow client has not read yet stays bounded."""
        try:
            async with asyncio.timeout(SLOW_CLIENT_S):
                await self.writable.wait()
        except TimeoutError as exc:
            self.transport.abort()
            raise ClientDisconnected from exc
        await super().send(message)


class Server(uvicorn.Server):
    """Stops cleanly on a signal; uvicorn's own class would raise the signal again and kill the process."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop accepting, finish what runs, return from `serve`."""
        self.should_exit = True


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
