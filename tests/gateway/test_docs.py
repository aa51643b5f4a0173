"""/docs and /openapi.json: what they say is what the gateway does, and they need no other host."""

import asyncio
import re
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from gateway import openapi
from gateway.authentication import TOKEN_OPTIONAL, TOKEN_REQUIRED
from pkg.errors import list_error_classes
from tests.gateway.conftest import RunningGateway
from tests.gateway.endpoints import ENDPOINTS, Endpoint, name_of

TOKEN = {"token"}
PAGE = {"limit", "cursor"}
CONTRACT: dict[tuple[str, str], tuple[set[str], set[str]]] = {
    # (method, path below the prefix): (required parameters, optional parameters)
    ("get", "/feed/"): (set(), {"latest_time"} | TOKEN),
    ("post", "/user/register/"): ({"username", "password"}, set()),
    ("post", "/user/login/"): ({"username", "password"}, set()),
    ("get", "/user/"): (set(), {"user_id"} | TOKEN),
    ("post", "/publish/action/"): (set(), TOKEN),
    ("get", "/publish/list/"): ({"user_id"}, TOKEN | PAGE),
    ("get", "/publish/status/"): (set(), {"video_id"} | TOKEN | PAGE),
    ("post", "/favorite/action/"): ({"video_id", "action_type"}, TOKEN),
    ("get", "/favorite/list/"): ({"user_id"}, TOKEN | PAGE),
    ("post", "/comment/action/"): (
        {"video_id", "action_type"},
        {"comment_text", "comment_id"} | TOKEN,
    ),
    ("get", "/comment/list/"): ({"video_id"}, TOKEN | PAGE),
    ("post", "/comment/favorite/"): ({"comment_id", "action_type"}, TOKEN),
    ("post", "/relation/action/"): ({"to_user_id", "action_type"}, TOKEN),
    ("get", "/relation/follow/list/"): ({"user_id"}, TOKEN | PAGE),
    ("get", "/relation/follower/list/"): ({"user_id"}, TOKEN | PAGE),
    ("get", "/relation/friend/list/"): ({"user_id"}, TOKEN | PAGE),
    ("get", "/message/chat/"): ({"to_user_id"}, {"pre_msg_time"} | TOKEN | PAGE),
    ("post", "/message/action/"): ({"to_user_id", "action_type", "content"}, TOKEN),
}
OPERATION_ID = re.compile(r"[a-z]+(_[a-z]+)*")


@pytest.fixture(scope="module")
def document(app: FastAPI) -> Any:
    return app.openapi()


@pytest.fixture(scope="module")
def operations(document: Any) -> dict[tuple[str, str], Any]:
    """Every operation below the prefix, by method and path."""
    return {
        (method, path.removeprefix("/douyin")): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/douyin/")
    }


def test_every_endpoint_of_the_contract_is_documented_and_no_other(
    operations: dict[tuple[str, str], Any],
) -> None:
    assert operations.keys() == CONTRACT.keys()


@pytest.mark.parametrize("key", CONTRACT, ids=" ".join)
def test_an_endpoint_shows_its_parameters_and_its_reply(
    operations: dict[tuple[str, str], Any], key: tuple[str, str]
) -> None:
    required, optional = CONTRACT[key]
    operation = operations[key]

    parameters = operation.get("parameters", [])
    assert {p["name"] for p in parameters if p["required"]} == required
    assert {p["name"] for p in parameters if not p["required"]} == optional
    assert "$ref" in operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert not {"400", "422"} & operation["responses"].keys()


@pytest.mark.parametrize("key", CONTRACT, ids=" ".join)
def test_no_parameter_has_a_default_that_the_endpoint_would_refuse(
    operations: dict[tuple[str, str], Any], key: tuple[str, str]
) -> None:
    for parameter in operations[key].get("parameters", []):
        assert parameter["schema"].get("default", "") == "", parameter["name"]


KEYWORDS = {"type", "title", "description", "default", "minimum", "maximum", "maxLength"}


@pytest.mark.parametrize("key", CONTRACT, ids=" ".join)
def test_bounds_of_parameters_are_told_in_words_that_generators_know(
    operations: dict[tuple[str, str], Any], key: tuple[str, str]
) -> None:
    for parameter in operations[key].get("parameters", []):
        schema = parameter["schema"]
        assert schema.keys() <= KEYWORDS
        if schema["type"] == "integer":
            assert "maximum" in schema


@pytest.mark.parametrize("key", CONTRACT, ids=" ".join)
def test_what_takes_a_body_says_that_it_may_be_too_large(
    operations: dict[tuple[str, str], Any], key: tuple[str, str]
) -> None:
    assert ("413" in operations[key]["responses"]) == (key[0] == "post")


def test_an_object_is_left_out_of_a_reply_and_never_null(document: Any) -> None:
    replies = document["components"]["schemas"]

    for name, field in (("UserReply", "user"), ("CommentReply", "comment")):
        assert field not in replies[name]["required"]
        assert "null" not in str(replies[name]["properties"][field])


def test_the_form_of_an_upload_is_documented(operations: dict[tuple[str, str], Any]) -> None:
    form = operations["post", "/publish/action/"]["requestBody"]["content"]["multipart/form-data"]

    assert set(form["schema"]["properties"]) == {"title", "data", "token"}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
def test_an_endpoint_says_whether_it_requires_a_token(
    operations: dict[tuple[str, str], Any], endpoint: Endpoint
) -> None:
    operation = operations[endpoint.method.lower(), endpoint.path]

    takes_token = any(p["name"] == "token" for p in operation.get("parameters", []))
    optional = TOKEN_OPTIONAL if takes_token else None
    assert operation.get("security") == (TOKEN_REQUIRED if endpoint.required else optional)
    # Without a user_id, /user/ is about the viewer.
    may_refuse = endpoint.required or endpoint.path == "/user/"
    assert ("401" in operation["responses"]) == may_refuse


def test_publishing_says_that_it_requires_a_token(
    operations: dict[tuple[str, str], Any],
) -> None:
    operation = operations["post", "/publish/action/"]

    assert operation["security"] == TOKEN_REQUIRED
    assert {"401", "413", "429", "503"} <= operation["responses"].keys()


def test_operation_ids_are_names_that_a_generated_client_can_use(document: Any) -> None:
    ids = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]

    assert len(set(ids)) == len(ids)
    assert all(OPERATION_ID.fullmatch(name) and "douyin" not in name for name in ids)
    assert openapi.OWN_ERRORS.keys() <= set(ids)


def test_the_errors_of_an_endpoint_stand_at_their_status(
    operations: dict[tuple[str, str], Any],
) -> None:
    responses = operations["post", "/user/login/"]["responses"]

    assert "20003 `WrongCredentials`" in responses["200"]["description"]
    assert "20004 `LoginThrottled`" in responses["429"]["description"]
    assert "Retry-After" in responses["429"]["headers"]


# Below are those that any endpoint may give.
FIRST_OWN_STATUS_CODE = 20_000


@pytest.mark.parametrize(
    "error",
    [error for error in list_error_classes() if error.status_code >= FIRST_OWN_STATUS_CODE],
    ids=lambda error: error.__name__,
)
def test_every_error_of_the_business_stands_at_an_endpoint(error: Any, document: Any) -> None:
    described = [
        response["description"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for response in operation["responses"].values()
    ]

    assert any(f"{error.status_code} `{error.__name__}`" in text for text in described)


def test_the_websocket_is_described(document: Any) -> None:
    assert "/douyin/message/ws" in document["info"]["description"]


async def test_the_page_loads_from_no_other_host_and_finds_every_file(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/docs")

    assert page.status_code == 200
    urls = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", page.text)
    assert len(urls) == 4  # the script, the style sheet, the icon and the document
    assert "//" not in "".join(urls)
    expected = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}
    for url in urls:
        reply = await client.get(url)
        suffix = "." + urlsplit(url).path.rpartition(".")[2]
        assert reply.status_code == 200, url
        assert reply.headers["content-type"].startswith(expected.get(suffix, "application/json"))
        assert ("max-age=31536000" in reply.headers.get("cache-control", "")) == (
            suffix in expected
        )


async def test_the_document_is_served_as_it_is_built(
    client: httpx.AsyncClient, document: Any
) -> None:
    assert (await client.get("/openapi.json")).json() == document


async def test_files_of_another_version_have_another_url(client: httpx.AsyncClient) -> None:
    assert f"?v={version('fastapi-offline')}" in (await client.get("/docs")).text


async def test_a_file_is_served_whole_whatever_range_is_asked_for(
    client: httpx.AsyncClient,
) -> None:
    whole = (await client.get("/docs/assets/favicon.png")).content
    for wanted in ("bytes=9999999-", "bytes=x", "bytes=0-1,3-2", "bytes=0-9"):
        reply = await client.get("/docs/assets/favicon.png", headers={"Range": wanted})

        assert (reply.status_code, reply.content) == (200, whole)


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..%2Fcore.py", "__init__.py", "nope"])
async def test_no_other_file_of_the_package_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/docs/assets/{name}")).status_code == 404


async def test_the_page_is_served_by_a_gateway_that_reaches_nothing(
    start_gateway: Any,
) -> None:
    async with start_gateway(reachable=False) as gateway:
        running: RunningGateway = gateway
        replies = await asyncio.gather(
            running.client.get("/docs"), running.client.get("/openapi.json")
        )

    assert [reply.status_code for reply in replies] == [200, 200]
