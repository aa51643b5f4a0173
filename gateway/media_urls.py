"""Where a phone loads media from: a configured base, or the host by which the phone reached us."""

import re
from functools import lru_cache

from starlette.types import Scope

HOST = re.compile(r"(?P<host>[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
SECURE_SCHEMES = frozenset({"https", "wss"})


class MediaUrls:
    """Knows what stands in front of an object's path."""

    def __init__(self, *, base_url: str | None, port: int) -> None:
        self._fixed = base_url.rstrip("/") + "/" if base_url else None
        self._port = port
        self._build_cached = lru_cache(maxsize=1024)(self._build)

    def base_for(self, scope: Scope) -> str:
        """Return the base of media URLs, with its trailing slash, for the client of this request."""
        if self._fixed is not None:
            return self._fixed
        header = next((value for name, value in scope["headers"] if name == b"host"), b"")
        server = scope.get("server") or ("127.0.0.1", None)
        return self._build_cached(scope["scheme"], header.decode("latin-1"), server[0])

    def _build(self, scheme: str, host_header: str, server_address: str) -> str:
        # The client writes the header: only a plain host may get into a URL.
        match = HOST.fullmatch(host_header)
        host = match["host"] if match else _bracket(server_address)
        return f"{'https' if scheme in SECURE_SCHEMES else 'http'}://{host}:{self._port}/media/"


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address else address
