"""Single flight with a fresh answer: while a call runs, whoever comes shares the next one.

Under load many callers share one call; alone, a caller waits for nothing. A call that has already begun is never
shared, so that nobody gets an answer that is older than their question. That is what tells it from a cache, and from
the usual single flight, which hands out the answer of the call that runs.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class SingleFlight(Generic[V]):
    """Shares the runs of `load` among concurrent callers; one run at a time."""

    def __init__(self, load: Callable[[], Awaitable[V]]) -> None:
        self._load = load
        self._next: asyncio.Future[V] | None = None  # of those who wait for a run to begin
        self._context = contextvars.copy_context()  # of the first of them
        self._running: asyncio.Task[None] | None = None

    async def get(self) -> V:
        """Return the answer of a run that begins after this call.

        Raises what `load` raises, to everyone who shared the run.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            self._context = contextvars.copy_context()
        shared = self._next
        if self._running is None:
            self._running = asyncio.create_task(self._run(shared))
        # One caller's cancellation must not take the answer from the others.
        return await asyncio.shield(shared)

    async def _run(self, shared: "asyncio.Future[V]") -> None:
        # From here on whoever comes is late for this run.
        self._next = None
        try:
            shared.set_result(await self._load())
        except Exception as exc:  # noqa: BLE001 - raised again by everyone who waits
            shared.set_exception(exc)
            shared.exception()  # The last one who waited may have been cancelled.
        finally:
            if not shared.done():
                shared.cancel()
            self._running = (
                asyncio.create_task(self._run(self._next), context=self._context)
                if self._next
                else None
            )
