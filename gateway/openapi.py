"""The document at /openapi.json: what FastAPI cannot know by itself."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from gateway.authentication import (
    TOKEN_OPTIONAL,
    TOKEN_REQUIRED,
    TOKEN_SCHEMES,
    find_viewer,
    require_viewer,
)
from pkg import errors

DESCRIPTION = """
The HTTP contract of dousheng.

- Every path under `/douyin` answers with and without its trailing slash.
- POST parameters come in the query, or as `application/x-www-form-urlencoded` fields or members of a JSON object of the
  same names; the first found in that order wins.
- The token comes as `token` in the query, as a form field, or as `Authorization: Bearer …`; the first found wins.
- Every reply holds `status_code` (0: success) and `status_msg`. Business errors answer HTTP 200 and hold the other fields
  at their zero values (0, `""`, `[]`; objects are left out); the other errors hold the two alone: 401 a required token is
  missing or invalid, 413 and 414 too large, 429 too often, 503 a dependency is down (the last two with `Retry-After`).

## WebSocket `GET /douyin/message/ws`

Sends every new message of a conversation as it becomes visible: one text frame per message, holding one `Message`
object. Query parameters: `to_user_id` (required), `pre_msg_time` (ms; only newer messages), `token` (required; the header
`Authorization: Bearer …` serves too). What the client sends is ignored.

A handshake that is refused is an ordinary HTTP reply with the same statuses and the same body as everywhere. Close codes:
1012 the stream ended, 1013 try again later, 1011 an error; the reason is a `status_msg`. Connect again with the last
`create_time` as `pre_msg_time`.
"""
ENVELOPE = {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}}
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
}
# By operation id: the errors that not every endpoint has.
OWN_ERRORS: dict[str, tuple[type[errors.DomainError], ...]] = {
    "register": (errors.UserNameTaken,),
    "login": (errors.WrongCredentials, errors.LoginThrottled),
    "user_info": (errors.UserNotFound, errors.Unauthenticated),
    "publish_action": (errors.UnsupportedVideo, errors.VideoRejected, errors.UserNotFound),
    "publish_list": (errors.UserNotFound,),
    "publish_status": (errors.VideoNotFound,),
    "favorite_action": (errors.VideoNotFound,),
    "favorite_list": (errors.UserNotFound,),
    "comment_action": (errors.VideoNotFound, errors.CommentNotFound, errors.PermissionDenied),
    "comment_list": (errors.VideoNotFound,),
    "comment_favorite": (errors.CommentNotFound,),
    "relation_action": (errors.UserNotFound, errors.FollowSelf),
    "follow_list": (errors.UserNotFound,),
    "follower_list": (errors.UserNotFound,),
    "friend_list": (errors.UserNotFound, errors.PermissionDenied),
    "message_chat": (errors.UserNotFound,),
    "message_action": (errors.UserNotFound, errors.NotFriends),
}


def describe(app: FastAPI) -> None:
    """Make `app` document itself as the contract says."""
    for route in _list_endpoints(app):
        # Generated clients name their functions after it.
        route.operation_id = route.name

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's way to extend the document


def _list_endpoints(app: FastAPI) -> Iterator[APIRoute]:
    return (route for route in app.routes if isinstance(route, APIRoute))


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="dousheng", version="1", description=DESCRIPTION, routes=app.routes
    )
    components = document["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = TOKEN_SCHEMES
    for route in _list_endpoints(app):
        for operation in document["paths"].get(route.path, {}).values():
            _complete(operation, route)
    return document


def _complete(operation: dict[str, Any], route: APIRoute) -> None:
    asked_for = {dependency.call for dependency in route.dependant.dependencies}
    if require_viewer in asked_for:
        operation["security"] = TOKEN_REQUIRED
    elif find_viewer in asked_for:
        operation["security"] = TOKEN_OPTIONAL
    for parameter in operation.get("parameters", ()):
        # Stands for a value that was left out, and is none that a client may send.
        if parameter["schema"].get("default") == 0:
            del parameter["schema"]["default"]
    responses = operation["responses"]
    # Bad parameters answer 200 here, never FastAPI's 422.
    responses.pop("422", None)
    for status, refusals in _group_by_status(_list_errors(operation, route)).items():
        response = responses.setdefault(str(status), {"description": "", "content": ENVELOPE})
        success = "Success (0); with zero values: " if status == HTTPStatus.OK else ""
        response["description"] = success + ", ".join(
            f"{error.status_code} `{error.__name__}`" for error in refusals
        )
        if refusals[0].default_retry_after_s is not None:
            response["headers"] = RETRY_AFTER
    responses["default"] = {"description": "An error", "content": ENVELOPE}


def _list_errors(operation: dict[str, Any], route: APIRoute) -> Iterator[type[errors.DomainError]]:
    if not operation.get("parameters"):
        return
    yield errors.InvalidParameter
    yield from OWN_ERRORS.get(operation["operationId"], ())
    if operation.get("security") == TOKEN_REQUIRED:
        yield errors.Unauthenticated
    if "POST" in (route.methods or ()):
        yield errors.PayloadTooLarge
    yield errors.RateLimited
    yield errors.DependencyUnavailable
    yield errors.DeadlineExceeded


def _group_by_status(
    classes: Iterable[type[errors.DomainError]],
) -> dict[int, list[type[errors.DomainError]]]:
    groups: dict[int, list[type[errors.DomainError]]] = {}
    for error in classes:
        groups.setdefault(error.http_status, []).append(error)
    return groups
