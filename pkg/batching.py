"""Natural batching: while a query runs, collect what others ask for, and ask for all of it at once.

Under load many requests share one query; alone, a request waits for nothing. Nobody gets an answer that is older than
their question, so that batching, unlike a cache, changes nothing that a caller could see.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from typing import Generic, TypeVar

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
        self._next: asyncio.Future[Mapping[K, V]] | None = None
        self._running: asyncio.Task[None] | None = None

    async def get(self, keys: Collection[K]) -> Mapping[K, V]:
        """Return a mapping that holds a value for each of `keys` that has one, and maybe more.

        Raises what `load` raises, to everyone who shared the run.
        """
        if not keys:
            return {}
        self._wanted.update(keys)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        shared = self._next
        if self._running is None:
            self._start_next()
        # One caller's cancellation must not take the answer from the others.
        return await asyncio.shield(shared)

    def _start_next(self) -> None:
        wanted, shared = self._wanted, self._next
        self._wanted, self._next = set(), None
        if shared is None:
            self._running = None
            return
        self._running = asyncio.create_task(self._run(wanted, shared))

    async def _run(self, wanted: set[K], shared: "asyncio.Future[Mapping[K, V]]") -> None:
        try:
            shared.set_result(await self._load(wanted))
        except Exception as exc:  # noqa: BLE001 - raised again by everyone who waits
            shared.set_exception(exc)
            shared.exception()  # The last one who waited may have been cancelled.
        finally:
            if not shared.done():
                shared.cancel()
            self._start_next()
