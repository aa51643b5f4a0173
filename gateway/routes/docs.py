"""Swagger UI at /docs, with files of its own: it works in a network without a way out."""

import asyncio
from functools import cache
from importlib.metadata import version
from importlib.resources import files

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from pkg.errors import RouteNotFound

router = APIRouter(include_in_schema=False)

# The package brings Swagger UI's files; nothing else of it is used.
PACKAGE = "fastapi-offline"
MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
# Another version of the package has other URLs.
LONG_CACHE = {"Cache-Control": "public, max-age=31536000, immutable"}


@router.get("/docs")
async def swagger_ui() -> HTMLResponse:
    """Show every endpoint, and let a person try it."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="dousheng",
        swagger_js_url=_url_of("swagger-ui-bundle.js"),
        swagger_css_url=_url_of("swagger-ui.css"),
        swagger_favicon_url=_url_of("favicon.png"),
    )


@router.get("/docs/assets/{name}")
async def swagger_asset(name: str) -> Response:
    """Return one of the files that the page loads, always whole.

    Starlette's FileResponse would answer a bad `Range` with a text of its own.
    """
    if name not in MEDIA_TYPES:
        raise RouteNotFound
    content = await asyncio.to_thread(_read, name)
    return Response(content, media_type=MEDIA_TYPES[name], headers=LONG_CACHE)


@cache
def _url_of(name: str) -> str:
    return f"/docs/assets/{name}?v={version(PACKAGE)}"


@cache
def _read(name: str) -> bytes:
    return (files(PACKAGE.replace("-", "_")) / "static" / name).read_bytes()
