"""Natural batching: while a query runs, collect what others ask for, and ask for all of it at once.

Under load many requests share one query; alone, a request waits for nothing. Nobody gets an answer that is older than
their question, so that batching, unlike a cache, changes nothing that a caller could see.
"""

from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from typing import Generic, TypeVar

from pkg.single_flight import SingleFlight

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Batcher(Generic[K, V]):
    """Shares the runs of `load` among concurrent callers; one run at a time.

    Args:
        load: given the wanted keys, returns a value for each that has one.
    """

    def __init__(self, load: Callable[[set[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._load = load
        self._wanted: set[K] = set()
        self._flights = SingleFlight(self._load_wanted)

    async def get(self, keys: Collection[K]) -> Mapping[K, V]:
        """Return a mapping that holds a value for each of `keys` that has one, and maybe more.

        Raises what `load` raises, to everyone who shared the run.
        """
        if not keys:
            return {}
        self._wanted.update(keys)
        return await self._flights.get()

    async def _load_wanted(self) -> Mapping[K, V]:
        wanted, self._wanted = self._wanted, set()
        return await self._load(wanted)
