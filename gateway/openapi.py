"""The documentation at /docs: what FastAPI cannot know by itself."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

DESCRIPTION = """
The HTTP contract of dousheng.

- Every path under `/douyin` answers with and without its trailing slash.
- POST parameters come in the query, or as `application/x-www-form-urlencoded` fields of the same names.
- The token comes as `token` in the query, as a form field, or as `Authorization: Bearer …`; the first found wins.
- Every reply holds `status_code` (0: success) and `status_msg`. Business errors answer HTTP 200; 401 a required token is
  missing or invalid, 413 and 414 too large, 429 too often, 503 a dependency is away (the last two with `Retry-After`).
- WebSocket `/douyin/message/ws` (`token`, `to_user_id`, `pre_msg_time?`) sends one `Message` object per frame.
"""
ENVELOPE = {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}}


def describe(app: FastAPI) -> None:
    """Make `app` document itself as the contract says."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's way to extend the document


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="dousheng", version="1", description=DESCRIPTION, routes=app.routes
    )
    components = document["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for operations in document["paths"].values():
        for operation in operations.values():
            # Bad parameters answer 200 here, never FastAPI's 422.
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {"description": "An error", "content": ENVELOPE}
            if any(p["name"] == "token" for p in operation.get("parameters", ())):
                operation["security"] = [{}, {"token": []}]
    return document
