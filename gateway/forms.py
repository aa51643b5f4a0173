"""Form fields of a POST, put behind its query, so that endpoints only know query parameters."""

from urllib.parse import parse_qsl, urlencode

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from pkg.errors import InvalidParameter, PayloadTooLarge

FORM_TYPE = b"application/x-www-form-urlencoded"
MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 100
BROKEN_FORM = "请求内容无法识别,请检查后重试"


def is_form(scope: Scope) -> bool:
    """Return whether the request brings url-encoded fields in its body."""
    if scope["method"] != "POST":
        return False
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return bool(content_type.partition(b";")[0].strip().lower() == FORM_TYPE)


async def merge_form(scope: Scope, receive: Receive) -> None:
    """Read the form and add the fields that the query does not have.

    Raises:
        PayloadTooLarge: the body is over 64 KiB.
        InvalidParameter: it is not a form, or not UTF-8.
    """
    body = await _read_body(scope, receive)
    try:
        fields = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
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
