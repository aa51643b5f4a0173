"""The web client at `/`: the files of gateway/web, with the headers that bound what its page may do."""

import asyncio
import gzip
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.state import get_state
from pkg.errors import RouteNotFound

router = APIRouter()

WEB_DIR = Path(__file__).resolve().parents[1] / "web"
# Names without a dot in front: no folder above, nothing hidden.
NAME = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+(?:\.[a-z0-9]+)+")
MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
HEADERS = {
    # A copy may be kept and is asked about each time: a new version is seen at once, an old one costs no body.
    "Cache-Control": "no-cache",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class WebFile:
    """One file as it is sent: as it is, or packed with gzip."""

    content: bytes
    packed: bytes
    media_type: str
    etag: str


async def _send_page(request: Request) -> Response:
    return await _send(request, "index.html")


async def _send_file(request: Request) -> Response:
    return await _send(request, request.path_params["name"])


# Plain routes: they answer HEAD too, and have no parameters to check.
router.add_route("/", _send_page, methods=["GET"], include_in_schema=False)
router.add_route("/web/{name:path}", _send_file, methods=["GET"], include_in_schema=False)


async def _send(request: Request, name: str) -> Response:
    file = await asyncio.to_thread(_find, name)
    headers = HEADERS | {"ETag": file.etag, "Content-Security-Policy": _bound_page(request)}
    if _is_known(request, file.etag):
        return Response(status_code=304, headers=headers)
    if _takes_gzip(request):
        headers["Content-Encoding"] = "gzip"
        return Response(file.packed, headers=headers, media_type=file.media_type)
    return Response(file.content, headers=headers, media_type=file.media_type)


def _find(name: str) -> WebFile:
    """Return the file of this name, read again where it has changed.

    Raises:
        RouteNotFound: there is none, or it is not meant for browsers.
    """
    path = WEB_DIR / name
    if not NAME.fullmatch(name) or path.suffix not in MEDIA_TYPES:
        raise RouteNotFound
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise RouteNotFound from exc
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, _changed_at_ns: int, _size: int) -> WebFile:
    content = path.read_bytes()
    # Weak, because it names the packed form as well.
    etag = f'W/"{sha256(content).hexdigest()[:20]}"'
    return WebFile(content, gzip.compress(content, mtime=0), MEDIA_TYPES[path.suffix], etag)


def _is_known(request: Request, etag: str) -> bool:
    """Return whether the client has this version already (RFC 9110, weak comparison)."""
    opaque = etag.removeprefix("W/")
    told = request.headers.get("if-none-match", "").split(",")
    return any(tag.strip() == "*" or tag.strip().removeprefix("W/") == opaque for tag in told)


def _takes_gzip(request: Request) -> bool:
    for coding in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";q=")
        if name == "gzip":
            return not weight or weight.strip("0.") != ""
    return False


def _bound_page(request: Request) -> str:
    """Return the Content-Security-Policy: our own files, the API, and the host of the media where that is another one."""
    media = _find_media_origin(request)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self'{media}",
        # The preview of a file that is about to be published is a blob.
        "media-src": f"'self'{media} blob:",
        "connect-src": "'self'",
        "manifest-src": "'self'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        # Text of users cannot become HTML, not even by a mistake of ours.
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


def _find_media_origin(request: Request) -> str:
    """Return the origin of media URLs behind a space, or nothing where it is the page's own."""
    media = urlsplit(get_state(request).media_urls.base_for(request.scope))
    page = request.headers.get("x-forwarded-host") or request.headers.get("host")
    if (media.scheme, media.netloc) == (request.url.scheme, page):
        return ""
    return f" {media.scheme}://{media.netloc}"
