"""Who calls: the gateway's state, the viewer that a token names, and the way to a service and back."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import grpc
from fastapi import Depends, Query
from google.protobuf.message import Message
from starlette.requests import HTTPConnection
from starlette.responses import Response

from gateway.clients import Clients
from gateway.media_urls import MediaUrls
from gateway.newest_feed import NewestFeed
from gateway.rate_limit import RequestLimits
from gateway.replies import render_reply
from gateway.settings import GatewaySettings
from gateway.slots import Slots
from pkg.errors import Unauthenticated
from pkg.rpc.client import call
from pkg.token import TokenVerifier

BEARER = "bearer "


@dataclass(frozen=True)
class Gateway:
    """What all requests share; lives in `app.state.gateway`."""

    settings: GatewaySettings
    clients: Clients
    tokens: TokenVerifier
    limits: RequestLimits
    media_urls: MediaUrls
    upload_slots: Slots  # by address
    socket_slots: Slots  # by user
    newest_feed: NewestFeed


@dataclass(frozen=True)
class Caller:
    """The client of one request; `user_id` 0 and an empty `token` are the anonymous viewer."""

    gateway: Gateway
    connection: HTTPConnection
    user_id: int = 0
    token: str = ""

    @property
    def clients(self) -> Clients:
        """The six services."""
        return self.gateway.clients

    @property
    def media_base(self) -> str:
        """What stands in front of media paths for this client."""
        return self.gateway.media_urls.base_for(self.connection.scope)

    async def ask(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Any, Any]",
        request: Message,
        *,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Response:
        """Call a service and return its reply as the HTTP reply.

        Raises:
            DomainError: what the service says, or that it does not answer.
        """
        reply = await call(
            method, request, timeout_s=self.gateway.settings.rpc_timeout_s, metadata=metadata
        )
        return render_reply(reply, media_base=self.media_base)


def identify(connection: HTTPConnection, token: str) -> Caller:
    """Return the caller whom a valid token names, and count the request against their limit.

    Raises:
        Unauthenticated: the token is missing, malformed, forged or expired.
        RateLimited: this user calls too often.
    """
    gateway: Gateway = connection.app.state.gateway
    user_id = gateway.tokens.verify(token)
    connection.scope["viewer_id"] = user_id
    gateway.limits.check_user(user_id)
    return Caller(gateway, connection, user_id, token)


def find_bearer_token(connection: HTTPConnection) -> str:
    """Return the token of the Authorization header, or an empty text."""
    header = connection.headers.get("authorization", "")
    return header[len(BEARER) :].strip() if header[: len(BEARER)].lower() == BEARER else ""


TokenParameter = Annotated[
    str, Query(description="The token of register or login; `Authorization: Bearer …` serves too.")
]


async def _require_viewer(connection: HTTPConnection, token: TokenParameter = "") -> Caller:
    return identify(connection, token or find_bearer_token(connection))


async def _admit_viewer(connection: HTTPConnection, token: TokenParameter = "") -> Caller:
    token = token or find_bearer_token(connection)
    if token:
        with contextlib.suppress(Unauthenticated):
            return identify(connection, token)
    return Caller(connection.app.state.gateway, connection)


async def _admit_anyone(connection: HTTPConnection) -> Caller:
    return Caller(connection.app.state.gateway, connection)


RequiredViewer = Annotated[Caller, Depends(_require_viewer)]
OptionalViewer = Annotated[Caller, Depends(_admit_viewer)]
Anyone = Annotated[Caller, Depends(_admit_anyone)]
