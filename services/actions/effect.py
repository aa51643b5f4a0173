"""Waiting for the effect of an action, so that everybody sees it when its reply arrives.

Only while the system is quiet: the wait makes one like nicer, and must not make many likes slower. Under load, or when an effect did not
come in time a moment ago, replies go out at once.
"""

import asyncio
import time
from collections.abc import Awaitable

from dal.db.engine import Database
from dal.db.register_rows import list_rows
from dal.redis.pending import PendingActions
from dal.registers.model import Action
from pkg.batching import Batcher
from pkg.breaker import CircuitBreaker

# More than these under way in one process are load. It is counted and not measured as a rate: waiting lowers the rate.
QUIET_ACTIONS = 3
LOAD_LASTS_S = 1.0
POLL_INTERVAL_S = 0.01


class EffectWait:
    """Lets the replies of one kind of action wait for their effect, `wait_s` at most."""

    def __init__(self, database: Database, pending: PendingActions, *, wait_s: float) -> None:
        self._database = database
        self._pending = pending
        self._wait_s = wait_s
        self._breaker = CircuitBreaker(
            "replies do not wait for their effect", timeout_s=wait_s, level="DEBUG"
        )
        self._absorbed: Batcher[Action, bool] = Batcher(pending.map_absorbed)
        self._under_way = 0
        self._load_until_s = 0.0

    async def wait_after(self, publishing: Awaitable[Action]) -> None:
        """Publish an action, then wait until everybody sees it or one that came after it, while it is quiet.

        Raises what publishing raises; the wait itself raises nothing.
        """
        began_s = time.monotonic()
        self._under_way += 1
        was_quiet = self._is_quiet()
        try:
            action = await publishing
            # What was slow so far is no quiet system, and the caller's deadline comes nearer.
            was_quick = time.monotonic() - began_s < self._wait_s / 2
            if self._is_quiet() and was_quiet and was_quick:
                await self._breaker.ask(lambda: self._wait(action), otherwise=False)
        finally:
            self._under_way -= 1

    def _is_quiet(self) -> bool:
        now_s = time.monotonic()
        if self._under_way > QUIET_ACTIONS:
            self._load_until_s = now_s + LOAD_LASTS_S
        return now_s >= self._load_until_s

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
