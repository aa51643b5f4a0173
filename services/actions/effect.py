"""Waiting for the effect of an action, so that everybody sees it when its reply arrives.

Only while the system is quiet: the wait makes one like nicer, and must not make many likes slower. Under load, or when an effect did not
come in time a moment ago, replies go out at once.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dal.db.engine import Database
from dal.db.register_rows import list_rows
from dal.redis.pending import PendingActions
from dal.registers.model import Action
from pkg.batching import Batcher
from pkg.breaker import CircuitBreaker

# More actions than these at a time, in one process, are load, and the second after them is as well.
QUIET_ACTIONS = 8
LOAD_LASTS_S = 1.0
POLL_INTERVAL_S = 0.01


class EffectWait:
    """Lets the replies of one kind of action wait for their effect, `wait_s` at most."""

    def __init__(self, database: Database, pending: PendingActions, *, wait_s: float) -> None:
        self._database = database
        self._pending = pending
        self._breaker = CircuitBreaker(
            "replies do not wait for their effect", timeout_s=wait_s, level="DEBUG"
        )
        self._absorbed: Batcher[Action, bool] = Batcher(pending.map_absorbed)
        self._under_way = 0
        self._load_until = 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether few actions are and were under way, so that one more may wait."""
        return time.monotonic() >= self._load_until

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the action that the block accepts as one that is under way."""
        self._under_way += 1
        if self._under_way > QUIET_ACTIONS:
            self._load_until = time.monotonic() + LOAD_LASTS_S
        try:
            yield
        finally:
            self._under_way -= 1

    async def wait_for(self, action: Action) -> bool:
        """Return whether everybody sees the action, or one that came after it; wait for that only while it is quiet."""
        if not self.is_quiet:
            return False
        return await self._breaker.ask(lambda: self._wait(action), otherwise=False)

    async def _wait(self, action: Action) -> bool:
        for is_there in (self._is_absorbed, self._is_on_replicas):
            while not await is_there(action):  # noqa: ASYNC110 - another process may absorb it
                await asyncio.sleep(POLL_INTERVAL_S)
        return True

    async def _is_absorbed(self, action: Action) -> bool:
        return (await self._absorbed.get([action]))[action]

    async def _is_on_replicas(self, action: Action) -> bool:
        rows = await self._database.read_replicas(
            lambda connection: list_rows(connection, self._pending.kind, [action.pair])
        )
        return all(row and row[0].version >= action.version for row in rows)
