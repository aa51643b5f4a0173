"""Where a phone loads media from: a configured base, or where the phone reached us, which the proxy in front tells."""

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
        headers = dict(scope["headers"])
        told = headers.get(b"x-forwarded-host", b"").decode("latin-1")
        header = headers.get(b"host", b"").decode("latin-1")
        server = scope.get("server") or ("127.0.0.1", None)
        return self._build_cached(scope["scheme"], told, header, server[0])

    def _build(self, scheme: str, told: str, host_header: str, server_address: str) -> str:
        # The client writes both headers: only a plain host may get into a URL.
        if HOST.fullmatch(told):
            # A proxy that tells the host serves media beside the API, under whichever port that is.
            authority = told
        elif match := HOST.fullmatch(host_header):
            authority = f"{match['host']}:{self._port}"
        else:
            authority = f"{_bracket(server_address)}:{self._port}"
        return f"{'https' if scheme in SECURE_SCHEMES else 'http'}://{authority}/media/"


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address else address
