"""Keyset paging: a page is the first items of a descending list below a sort key; a cursor is that key, made opaque.

Every list follows one rule. It fetches one item more than it returns, and the next cursor is empty exactly when that one is missing, so that a
client never asks for a page that turns out to be empty.
"""

import base64
import binascii
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pkg.errors import InvalidParameter

# A list that returns fewer items by default may still be asked for this many.
MIN_LARGEST_LIMIT = 100
# Sort keys are times and ids: one signed 64-bit integer.
CURSOR = struct.Struct(">q")
FROM_THE_START = 2**63 - 1
WRONG_CURSOR = "cursor 不正确,请从头开始"

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which items a client wants: at most `limit` of those whose sort keys are below `before`."""

    limit: int
    before: int = FROM_THE_START

    @property
    def fetch_limit(self) -> int:
        """How many items to fetch: the one beyond the page tells whether anything follows."""
        return self.limit + 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, and the cursor of those after them: "" exactly when nothing follows."""

    items: list[T]
    next_cursor: str = ""

    def map(self, convert: Callable[[T], U]) -> "Page[U]":
        """Return the same page of converted items."""
        return Page([convert(item) for item in self.items], self.next_cursor)


def parse_page_request(cursor: str, limit: int, *, default: int) -> PageRequest:
    """Return what a client asks for; a limit of 0 stands for the default of the list.

    Raises:
        InvalidParameter: the cursor is not one of ours, or the limit is more than the default and more than 100.
    """
    largest = max(default, MIN_LARGEST_LIMIT)
    if not 0 <= limit <= largest:
        raise InvalidParameter(f"limit 必须在1到{largest}之间")
    return PageRequest(limit or default, decode_cursor(cursor))


def make_page(fetched: Sequence[T], request: PageRequest, key: Callable[[T], int]) -> Page[T]:
    """Return the page of what was fetched with `fetch_limit`; `key` gives the sort key of an item."""
    items = list(fetched[: request.limit])
    follows = len(fetched) > request.limit
    return Page(items, encode_cursor(key(items[-1])) if follows else "")


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
