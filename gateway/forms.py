"""Fields of a POST's body, put behind its query, so that endpoints only know query parameters."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from pkg.errors import InvalidParameter, PayloadTooLarge

MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 100
BROKEN_FORM = "请求内容无法识别,请检查后重试"
NESTED_VALUE = "参数 {} 不正确,请检查后重试"

Fields = list[tuple[str, str]]
BodyParser = Callable[[bytes], Fields]


def find_body_parser(scope: Scope) -> BodyParser | None:
    """Return how to read the fields in the body of a POST, or None where the body holds none for us."""
    if scope["method"] != "POST":
        return None
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return PARSERS.get(content_type.partition(b";")[0].strip().lower())


async def merge_body(scope: Scope, receive: Receive, parse: BodyParser) -> None:
    """Read the body and add the fields that the query does not have.

    Raises:
        PayloadTooLarge: the body is over 64 KiB.
        InvalidParameter: it is not what its content type says.
    """
    body = await _read_body(scope, receive)
    try:
        fields = parse(body)
    except ValueError as exc:
        raise InvalidParameter(BROKEN_FORM) from exc
    # Bytes of the query that are not UTF-8 stay as they are: the endpoint decides whether they matter.
    query = parse_qsl(
        scope["query_string"].decode("ascii"), keep_blank_values=True, errors="surrogateescape"
    )
    said = {name for name, value in query if value}
    added = [(name, value) for name, value in fields if name not in said]
    replaced = {name for name, _ in added}
    merged = [(name, value) for name, value in query if name not in replaced] + added
    scope["query_string"] = urlencode(merged, errors="surrogateescape").encode("ascii")


def parse_form(body: bytes) -> Fields:
    """Return the fields of a url-encoded form; as in the query, bytes that are not UTF-8 stay as they are.

    Raises:
        ValueError: there are too many fields.
    """
    return parse_qsl(
        body.decode("utf-8", errors="surrogateescape"),
        keep_blank_values=True,
        errors="surrogateescape",
        max_num_fields=MAX_FIELDS,
    )


def parse_json(body: bytes) -> Fields:
    """Return the members of a JSON object as texts; null stands for a field that was left out.

    Web clients name the type also where they send no body.

    Raises:
        ValueError: the body is no JSON, or no object.
        InvalidParameter: a member is an object or a list.
    """
    if not body.strip():
        return []
    members = orjson.loads(body)
    if not isinstance(members, dict) or len(members) > MAX_FIELDS:
        raise ValueError("no object of parameters")
    return [
        (name, _read_member(name, value)) for name, value in members.items() if value is not None
    ]


def _read_member(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise InvalidParameter(NESTED_VALUE.format(name[:32]))
    return orjson.dumps(value).decode("ascii")


PARSERS: Mapping[bytes, BodyParser] = {
    b"application/x-www-form-urlencoded": parse_form,
    b"application/json": parse_json,
}


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if int(declared) > MAX_FORM_BYTES:
        raise PayloadTooLarge
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_FORM_BYTES:
            raise PayloadTooLarge
        if not message.get("more_body", False):
            return bytes(body)
