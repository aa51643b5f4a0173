"""JSON of parts of replies, kept by the bytes from which it was made: it is never stale, because other bytes are another key."""

from collections.abc import Callable, Sequence

import orjson

# What an entry takes beside its bytes: two objects, and its place in a dict.
ENTRY_BYTES = 400

# By the kind of message and the media base, and then by the bytes.
Fragments = dict[tuple[str, str], dict[bytes, orjson.Fragment]]


class FragmentCache:
    """Keeps the fragments that were used lately, bounded in bytes.

    Entries live in two generations. What is used moves to the young one; when that is full the old one is forgotten. That keeps what
    is used for the price of a look into a dict, which a list in the order of use does not.

    Args:
        max_bytes: of both generations together; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_generation_bytes = max_bytes // 2
        self._young: Fragments = {}
        self._old: Fragments = {}
        self._young_bytes = 0

    def find(
        self, kind: str, media_base: str, contents: Sequence[bytes], make: Callable[[bytes], bytes]
    ) -> list[orjson.Fragment]:
        """Return the fragments of messages of one kind with these bytes, in their order; `make` makes those that are not kept."""
        young = self._young.get((kind, media_base), {})
        return [
            young.get(content) or self._fetch((kind, media_base), content, make)
            for content in contents
        ]

    def _fetch(
        self, key: tuple[str, str], content: bytes, make: Callable[[bytes], bytes]
    ) -> orjson.Fragment:
        """Return a fragment from the old generation, or make it; either way it is young now."""
        # One of the same reply may have made it a moment ago.
        fragment = self._young.get(key, {}).get(content)
        if fragment is None:
            fragment = self._old.get(key, {}).pop(content, None) or _make_fragment(make(content))
            self._put(key, content, fragment)
        return fragment

    def _put(self, key: tuple[str, str], content: bytes, fragment: orjson.Fragment) -> None:
        # JSON with its names takes about twice the space of what it was made from.
        size = 3 * len(content) + ENTRY_BYTES
        if self._young_bytes + size > self._max_generation_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        if size <= self._max_generation_bytes:
            self._young.setdefault(key, {})[content] = fragment
            self._young_bytes += size


def _make_fragment(text: bytes) -> orjson.Fragment:
    # orjson leaves 3 KiB of room behind what it returns, which a copy does not have.
    return orjson.Fragment(bytes(memoryview(text)))
