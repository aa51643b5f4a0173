"""Waiting for the effect of an action, so that everybody sees it when its reply arrives.

Only while the system is quiet: the wait makes one like nicer, and must not make many likes slower. In a crowd, or when an effect did not
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
from services.actions.load import ActionLoad

POLL_INTERVAL_S = 0.01


class EffectWait:
    """Lets the replies of one kind of action wait for their effect, `wait_s` at most."""

    def __init__(
        self, database: Database, pending: PendingActions, load: ActionLoad, *, wait_s: float
    ) -> None:
        self._database = database
        self._pending = pending
        self._load = load
        self._wait_s = wait_s
        self._breaker = CircuitBreaker(
            "replies do not wait for their effect", timeout_s=wait_s, level="DEBUG"
        )
        self._absorbed: Batcher[Action, bool] = Batcher(pending.map_absorbed)

    async def wait_after(self, user_id: int, publishing: Awaitable[Action]) -> None:
        """Publish an action of this user, then wait until everybody sees it or one that came after it, while it is quiet.

        Raises what publishing raises; the wait itself raises nothing.
        """
        began_s = time.monotonic()
        with self._load.under_way(user_id):
            was_quiet = self._load.is_quiet
            action = await publishing
            # What was slow so far is no quiet system, and the caller's deadline comes nearer.
            was_quick = time.monotonic() - began_s < self._wait_s / 2
            if was_quiet and was_quick and self._load.is_quiet:
                await self._breaker.ask(lambda: self._wait(action), otherwise=False)

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
