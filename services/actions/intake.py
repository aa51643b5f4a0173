"""Accepting an action: its target exists, a version is drawn, and the broker confirms the message."""

from collections.abc import Awaitable, Callable
from typing import Any

from cachetools import TTLCache

from dal.db.engine import Database
from dal.redis.clock import VersionClock
from dal.registers.model import Action, ActionType, Kind
from pkg.errors import NotFound
from pkg.mq.publisher import Publisher
from services.actions.effect import EffectWait
from services.actions.messages import encode_action

REMEMBERED = 50_000
REMEMBER_S = 60.0


class ExistenceCache:
    """Checks ids with the query `require`, which raises a NotFound, and remembers for a minute which of them exist."""

    def __init__(self, database: Database, require: Callable[[Any, int], Awaitable[None]]) -> None:
        self._database = database
        self._require = require
        self._existing: TTLCache[int, bool] = TTLCache(REMEMBERED, REMEMBER_S)

    async def require(self, target_id: int) -> None:
        """Return if the target exists; raise what the query raises if not."""
        if target_id in self._existing:
            return
        await self._query(target_id)
        self._existing[target_id] = True

    async def _query(self, target_id: int) -> None:
        try:
            async with self._database.read() as connection:
                await self._require(connection, target_id)
        except NotFound:
            if not self._database.has_replicas:
                raise
        else:
            return
        # A replica may not know yet what was published a moment ago.
        async with self._database.read_source() as connection:
            await self._require(connection, target_id)


class ActionIntake:
    """Takes the actions of one kind."""

    def __init__(
        self,
        kind: Kind,
        *,
        targets: ExistenceCache,
        clock: VersionClock,
        publisher: Publisher,
        effect: EffectWait | None = None,
    ) -> None:
        self._kind = kind
        self._targets = targets
        self._clock = clock
        self._publisher = publisher
        self._effect = effect

    async def accept(self, *, user_id: int, target_id: int, action_type: ActionType) -> None:
        """Return when the action is safe in the queue and, while little happens, everybody sees it.

        Raises:
            NotFound: the target does not exist.
            DependencyUnavailable, DeadlineExceeded: the action may or may not count.
        """
        publishing = self._publish(user_id, target_id, action_type)
        if self._effect is None:
            await publishing
        else:
            await self._effect.wait_after(user_id, publishing)

    async def _publish(self, user_id: int, target_id: int, action_type: ActionType) -> Action:
        await self._targets.require(target_id)
        version = await self._clock.draw()
        action = Action(user_id, target_id, version, action_type)
        await self._publisher.publish(self._kind.value, encode_action(self._kind, action))
        return action
