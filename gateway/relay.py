"""From an endpoint to a service and back: one call, its reply as the HTTP reply."""

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import Message
from starlette.responses import Response

from gateway.viewer import Viewer
from pkg.rpc.client import call_raw
from pkg.rpc.metadata import NO_METADATA


async def relay(
    viewer: Viewer,
    method: "grpc.aio.UnaryUnaryMultiCallable[Any, Any]",
    request: Message,
    *,
    metadata: Mapping[str, str] = NO_METADATA,
) -> Response:
    """Call a service for a viewer and return its reply as the HTTP reply.

    Raises:
        DomainError: what the service says, or that it does not answer.
    """
    reply = await call_raw(
        method, request, timeout_s=viewer.state.settings.rpc_timeout_s, metadata=metadata
    )
    return viewer.state.replies.render(reply, media_base=viewer.media_base)
