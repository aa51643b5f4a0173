"""Keyset paging: how many, and from where on. A cursor is the sort key of the last item, made opaque."""

import base64
import binascii
import struct

from pkg.errors import InvalidParameter

MAX_LIMIT = 100
# Sort keys are times and ids: one signed 64-bit integer.
CURSOR = struct.Struct(">q")
FROM_THE_START = 2**63 - 1
WRONG_CURSOR = "cursor 不正确,请从头开始"


def read_limit(limit: int, *, default: int) -> int:
    """Return how many items to list; 0 stands for the default of that list.

    Raises:
        InvalidParameter: it is not 1 to 100.
    """
    if limit == 0:
        return default
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidParameter(f"limit 必须在1到{MAX_LIMIT}之间")
    return limit


def encode_cursor(key: int) -> str:
    """Return the cursor behind which a descending list goes on after the item with this sort key."""
    return base64.urlsafe_b64encode(CURSOR.pack(key)).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """Return the sort key that the next items lie below; "" is the start of the list.

    Raises:
        InvalidParameter: it is not one of ours.
    """
    if not cursor:
        return FROM_THE_START
    try:
        (key,) = CURSOR.unpack(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, struct.error, ValueError) as exc:
        raise InvalidParameter(WRONG_CURSOR) from exc
    # The decoder steps over characters that it does not know.
    if encode_cursor(key) != cursor:
        raise InvalidParameter(WRONG_CURSOR)
    return int(key)


def next_cursor(keys: list[int], *, limit: int) -> str:
    """Return the cursor of the following page: "" where this one was not full."""
    return encode_cursor(keys[-1]) if len(keys) == limit else ""
