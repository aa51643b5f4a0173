"""JSON of parts of replies, kept by the bytes from which it was made: it is never stale, because other bytes are another key."""

from collections.abc import Callable, Hashable

import orjson

# What an entry takes beside its bytes: two objects, a tuple, and its place in a dict.
ENTRY_BYTES = 400

Fragments = dict[Hashable, orjson.Fragment]


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

    def get(
        self, kind: str, content: bytes, media_base: str, make: Callable[[], bytes]
    ) -> orjson.Fragment:
        """Return the fragment of a message of this kind with these bytes, made if need be."""
        key = (kind, content, media_base)
        fragment = self._young.get(key)
        if fragment is None:
            fragment = self._old.pop(key, None) or orjson.Fragment(make())
            self._put(key, fragment, len(content))
        return fragment

    def _put(self, key: Hashable, fragment: orjson.Fragment, content_bytes: int) -> None:
        # JSON with its names takes about twice the space of what it was made from.
        size = 3 * content_bytes + ENTRY_BYTES
        if self._young_bytes + size > self._max_generation_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        if size <= self._max_generation_bytes:
            self._young[key] = fragment
            self._young_bytes += size
