"""Senders and readers of one conversation that take their steps in any order that a test wants.

Everything is real, the servers and the product's code; only between its steps (a call of Redis, a transaction, its commit) it
waits for its turn. An actor may be killed between any two steps, as a SIGKILL of its process would.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar

from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.engine import Database
from dal.participants import Participants
from dal.redis.chat import ChatMarks, Look
from pkg.errors import DomainError

# An actor that does not reach its next step in this time waits for a row that another one has locked.
BLOCKED_AFTER_S = 0.05

_actor: ContextVar["Actor | None"] = ContextVar("actor", default=None)


class Actor:
    """Somebody who takes one step at a time; killed at the step `killed_at`, where that is not None."""

    def __init__(self, act: Callable[[], Awaitable[None]], *, killed_at: int | None = None) -> None:
        self._act = act
        self._killed_at = killed_at
        self._turn: asyncio.Future[None] | None = None
        self._moved = asyncio.Event()
        self._steps = 0
        self._free = False
        self._task = asyncio.create_task(self._run())

    @property
    def is_done(self) -> bool:
        return self._task.done()

    async def step(self) -> None:
        """Let the actor go on to its next step."""
        await asyncio.sleep(0)
        if self._turn is None:
            return  # It is on its way there, or waits for a lock.
        self._moved.clear()
        self._turn.set_result(None)
        self._turn = None
        with suppress(TimeoutError):
            async with asyncio.timeout(BLOCKED_AFTER_S):
                await self._moved.wait()

    async def finish(self) -> None:
        """Let the actor take all its steps."""
        self._free = True
        if self._turn is not None:
            self._turn.set_result(None)
            self._turn = None
        with suppress(asyncio.CancelledError):
            await self._task

    async def wait_for_turn(self) -> None:
        self._steps += 1
        if self._steps - 1 == self._killed_at:
            self._task.cancel()
            await asyncio.sleep(0)
        if not self._free:
            self._turn = asyncio.get_running_loop().create_future()
            self._moved.set()
            await self._turn
        await asyncio.sleep(0)

    async def _run(self) -> None:
        _actor.set(self)
        try:
            await wait_for_turn()
            await self._act()
        finally:
            self._moved.set()


async def wait_for_turn() -> None:
    """Wait until the test lets the current actor go on; nobody's turn is waited for outside of an actor."""
    actor = _actor.get()
    if actor is not None:
        await actor.wait_for_turn()


class SteppedDatabase(Database):
    """Waits for its turn before every read and transaction, and before and after every commit."""

    @asynccontextmanager
    async def read_source(self) -> AsyncIterator[AsyncConnection]:
        await wait_for_turn()
        async with super().read_source() as connection:
            yield connection
        await wait_for_turn()

    @asynccontextmanager
    async def write(self, *, timeout_s: float | None = None) -> AsyncIterator[AsyncConnection]:
        await wait_for_turn()
        async with super().write(timeout_s=timeout_s) as connection:
            yield connection
            await wait_for_turn()
        await wait_for_turn()


class SteppedMarks(ChatMarks):
    """Waits for its turn before every call of Redis."""

    async def look(self, participants: Participants, senders: Sequence[int]) -> Look:
        await wait_for_turn()
        return await super().look(participants, senders)

    async def mark(self, participants: Participants, *, above: int = 0) -> int:
        await wait_for_turn()
        return await super().mark(participants, above=above)

    async def settle(
        self, participants: Participants, mark: int, *, sender_id: int, created_at_ms: int
    ) -> None:
        await wait_for_turn()
        await super().settle(participants, mark, sender_id=sender_id, created_at_ms=created_at_ms)

    async def clear(self, participants: Participants, mark: int) -> None:
        await wait_for_turn()
        await super().clear(participants, mark)

    async def recover(
        self, participants: Participants, mark: int, latest_ms: Mapping[int, int]
    ) -> bool:
        await wait_for_turn()
        return await super().recover(participants, mark, latest_ms)


async def unless_refused(sending: Awaitable[int]) -> int | None:
    """Return the result of a send, or None where it was answered with an error."""
    try:
        return await sending
    except DomainError:
        return None
