"""What is written down twice must say the same twice."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.routing import Route, WebSocketRoute

from gateway.authentication import TOKEN_OPTIONAL, TOKEN_REQUIRED
from gateway.errors import render_error_table
from gateway.routes.docs import MEDIA_TYPES
from pkg import errors

REPOSITORY = Path(__file__).parents[2]
GATEWAY_README = REPOSITORY / "gateway" / "README.md"
NGINX_PAGE = re.compile(r"return (\d+) '\{\"status_code\":(\d+),\"status_msg\":\"([^\"]+)\"\}'")
# | GET `/feed/` | optional | `latest_time?` | ... |
ENDPOINT_ROW = re.compile(
    r"^\| (GET|POST) `(/[^`]*)` \| (none|optional|required) \| ([^|]*)\|", re.MULTILINE
)
OPERATION_ROW = re.compile(r"^\| GET `(/[^`]*)` \| [^|]+\|$", re.MULTILINE)
MODULE_ROW = re.compile(r"^\| `([a-z_/]+\.py)` \|", re.MULTILINE)
PREFIX = "/douyin"
# Every list takes these two; the table says it once, above.
PAGE = {"limit?", "cursor?"}


def test_the_document_lists_the_errors_of_the_code() -> None:
    """`scripts/documents` writes the table."""
    assert render_error_table() in GATEWAY_README.read_text(encoding="utf-8")


@pytest.mark.parametrize("error", errors.list_error_classes(), ids=lambda error: error.__name__)
def test_no_error_has_a_status_that_the_contract_never_uses(
    error: type[errors.DomainError],
) -> None:
    assert error.http_status not in (400, 422)


def test_the_error_pages_of_nginx_are_the_errors_of_the_code() -> None:
    template = REPOSITORY / "config" / "nginx" / "errors.conf.template"

    pages = NGINX_PAGE.findall(template.read_text(encoding="utf-8"))

    assert len(pages) >= 7
    for http_status, status_code, message in pages:
        error_class = errors.find_error_class(int(status_code))
        assert error_class is not None
        assert (error_class.http_status, error_class.default_message) == (int(http_status), message)


def test_nginx_passes_the_documentation_and_every_file_of_it() -> None:
    template = REPOSITORY / "config" / "nginx" / "site.conf.template"
    (passed,) = re.findall(r"location ~ (\S*healthz\S*) \{", template.read_text(encoding="utf-8"))

    for path in ("/docs", "/openapi.json", *(f"/docs/assets/{name}" for name in MEDIA_TYPES)):
        assert re.search(passed, path), path
    assert not re.search(passed, "/metrics")


def test_the_documented_endpoints_are_those_of_the_application(app: FastAPI) -> None:
    text = GATEWAY_README.read_text(encoding="utf-8")
    documented = [(method, path) for method, path, _, _ in ENDPOINT_ROW.findall(text)]
    websockets = [PREFIX + path.rstrip("/") + "/" for method, path in documented if "/ws" in path]
    endpoints = {(m, PREFIX + path) for m, path in documented if "/ws" not in path}
    operation = {("GET", path) for path in OPERATION_ROW.findall(text)}

    routes = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert len(documented) == len(set(documented))
    assert endpoints | operation == routes
    assert websockets == [route.path for route in app.routes if isinstance(route, WebSocketRoute)]


def test_the_documented_parameters_and_tokens_are_those_of_openapi(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    for method, path, token, parameters in ENDPOINT_ROW.findall(
        GATEWAY_README.read_text(encoding="utf-8")
    ):
        if "/ws" in path:
            continue
        operation = paths[PREFIX + path][method.lower()]
        security = {"none": None, "optional": TOKEN_OPTIONAL, "required": TOKEN_REQUIRED}[token]
        assert operation.get("security") == security, path
        documented = set(re.findall(r"`([a-z_]+\??)`", parameters))
        assert documented == set(_list_parameters(operation)) - PAGE, path


def _list_parameters(operation: dict[str, object]) -> Iterator[str]:
    """Yield the names of parameters and form fields, with a ? behind those that may be left out."""
    parameters: list[dict[str, object]] = operation.get("parameters", [])  # type: ignore[assignment]
    for parameter in parameters:
        if parameter["name"] != "token":
            yield f"{parameter['name']}{'' if parameter['required'] else '?'}"
    if "requestBody" in operation:
        body: dict[str, dict[str, dict[str, dict[str, list[str]]]]] = operation["requestBody"]  # type: ignore[assignment]
        yield from body["content"]["multipart/form-data"]["schema"]["required"]


def test_the_documented_modules_are_those_of_the_folder() -> None:
    folder = GATEWAY_README.parent
    documented = MODULE_ROW.findall(GATEWAY_README.read_text(encoding="utf-8"))

    assert sorted(documented) == sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if path.name != "__init__.py" and "__pycache__" not in path.parts
    )
