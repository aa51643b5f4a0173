"""Values kept in memory for a moment, filled in batches, and forgotten by whoever is told that one has changed.

Who asks for what is not there shares a load with all others of that moment (pkg/batching.py), so that a value that ends is loaded once,
however many wait for it. A value that is forgotten while it is being loaded goes to those who asked before, and is not kept.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from typing import Generic, TypeVar

from pkg.batching import Batcher

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _one(_value: object) -> int:
    return 1


class Kept(Generic[K, V]):
    """Keeps what `load` returns.

    Values live in two generations; when the young one is full, or half a lifetime old, the old one is forgotten. So nothing is older
    than a lifetime, and reading a value costs two looks into a dict at most.

    Args:
        load: given keys, returns a value for each that has one.
        lifetime_s: after this time a value is loaded again, whether or not anybody said that it has changed; 0 keeps nothing.
        most: the weight of all values that are kept, at most.
        weigh: the weight of a value; 1 unless told otherwise.
        keeps_absence: whether it is kept as well that there is nothing for a key.
    """

    def __init__(
        self,
        load: Callable[[set[K]], Awaitable[Mapping[K, V]]],
        *,
        lifetime_s: float,
        most: int,
        weigh: Callable[[V], int] = _one,
        keeps_absence: bool = False,
    ) -> None:
        self._load = load
        self._loads: Batcher[K, V] = Batcher(self._load_and_keep)
        self._half_life_s = lifetime_s / 2
        self._half_weight = most // 2
        self._weigh = weigh
        self._keeps_absence = keeps_absence
        self._young: dict[K, V | None] = {}
        self._old: dict[K, V | None] = {}
        self._young_weight = 0
        self._young_until_s = 0.0
        # Of what is being loaded: what changed meanwhile.
        self._changed: set[K] = set()
        self._all_changed = False

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    async def get(self, keys: Collection[K]) -> Mapping[K, V]:
        """Return a value for each of `keys` that has one.

        Raises what `load` raises.
        """
        if time.monotonic() >= self._young_until_s:
            self._turn_over()
        found: dict[K, V] = {}
        missing: list[K] = []
        young, old = self._young, self._old
        for key in keys:
            if key in young:
                value = young[key]
            elif key in old:
                value = old[key]
            else:
                missing.append(key)
                continue
            if value is not None:
                found[key] = value
        if missing:
            loaded = await self._loads.get(missing)
            found.update((key, loaded[key]) for key in missing if key in loaded)
        return found

    def forget(self, key: K) -> None:
        """Load this one again when it is asked for: it has changed."""
        self._young.pop(key, None)
        self._old.pop(key, None)
        self._changed.add(key)

    def forget_all(self) -> None:
        """Load everything again: any of it may have changed."""
        self._young, self._old, self._young_weight = {}, {}, 0
        self._all_changed = True

    def _turn_over(self) -> None:
        now_s = time.monotonic()
        # After a rest of half a lifetime, what is young is as old as what is old.
        is_late = now_s >= self._young_until_s + self._half_life_s
        self._old = {} if is_late else self._young
        self._young, self._young_weight = {}, 0
        self._young_until_s = now_s + self._half_life_s

    async def _load_and_keep(self, keys: set[K]) -> Mapping[K, V]:
        self._changed, self._all_changed = set(), False
        loaded = await self._load(keys)
        if self._half_life_s > 0 and not self._all_changed:
            for key in keys - self._changed:
                if self._keeps_absence or key in loaded:
                    self._keep(key, loaded.get(key))
        return loaded

    def _keep(self, key: K, value: V | None) -> None:
        weight = 1 if value is None else self._weigh(value)
        if weight > self._half_weight:
            return
        if self._young_weight + weight > self._half_weight:
            self._old, self._young, self._young_weight = self._young, {}, 0
        self._young[key] = value
        self._young_weight += weight
