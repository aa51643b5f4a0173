"""From a token to a viewer, and what endpoints ask for: a required, an optional or an anonymous viewer."""

import contextlib
from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import HTTPConnection

from gateway.state import get_state
from gateway.viewer import Viewer
from pkg.errors import Unauthenticated

BEARER = "bearer "
# The same for the documentation, in the words of OpenAPI; {} is the anonymous viewer.
TOKEN_SCHEMES = {
    "bearerToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "queryToken": {"type": "apiKey", "in": "query", "name": "token"},
}
TOKEN_REQUIRED: list[dict[str, list[str]]] = [{name: []} for name in TOKEN_SCHEMES]
TOKEN_OPTIONAL = [*TOKEN_REQUIRED, {}]

TokenParameter = Annotated[
    str, Query(description="The token of register or login; `Authorization: Bearer …` serves too.")
]


def authenticate(connection: HTTPConnection, token: str) -> Viewer:
    """Return the viewer whom a valid token names; the log line of the request names them too.

    Raises:
        Unauthenticated: the token is missing, malformed, forged or expired.
    """
    state = get_state(connection)
    user_id = state.tokens.verify(token)
    connection.scope["viewer_id"] = user_id
    return Viewer(state, connection, user_id, token)


def count_request(viewer: Viewer) -> None:
    """Count this request against the limit of an authenticated viewer.

    Raises:
        RateLimited: this viewer calls too often.
    """
    viewer.state.limits.check_user(viewer.user_id)


def find_bearer_token(connection: HTTPConnection) -> str:
    """Return the token of the Authorization header, or an empty text."""
    header = connection.headers.get("authorization", "")
    return header[len(BEARER) :].strip() if header[: len(BEARER)].lower() == BEARER else ""


async def require_viewer(connection: HTTPConnection, token: TokenParameter = "") -> Viewer:
    """Return the viewer, whose token must be valid, and count their request."""
    viewer = authenticate(connection, token or find_bearer_token(connection))
    count_request(viewer)
    return viewer


async def find_viewer(connection: HTTPConnection, token: TokenParameter = "") -> Viewer:
    """Return the viewer; without a valid token the anonymous one."""
    if token or find_bearer_token(connection):
        with contextlib.suppress(Unauthenticated):
            return await require_viewer(connection, token)
    return Viewer(get_state(connection), connection)


async def _ignore_token(connection: HTTPConnection) -> Viewer:
    return Viewer(get_state(connection), connection)


RequiredViewer = Annotated[Viewer, Depends(require_viewer)]
OptionalViewer = Annotated[Viewer, Depends(find_viewer)]
AnonymousViewer = Annotated[Viewer, Depends(_ignore_token)]
