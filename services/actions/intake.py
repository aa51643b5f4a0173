"""Accepting an action: its target exists, a version is drawn, and the broker confirms the message."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from dal.db.engine import Database
from dal.redis.clock import ActionClock
from dal.registers.model import Action, ActionType, Kind
from pkg.errors import InvalidParameter, NotFound
from pkg.mq.publisher import Publisher
from services.actions.messages import encode_action


class ActionIntake:
    """Takes the actions of one kind; their targets are known to exist."""

    def __init__(self, kind: Kind, clock: ActionClock, publisher: Publisher) -> None:
        self._kind = kind
        self._clock = clock
        self._publisher = publisher

    async def accept(self, *, user_id: int, target_id: int, action_type: int) -> None:
        """Return when the action is safe in the queue.

        Raises:
            InvalidParameter: there is no such action type.
            DependencyUnavailable, DeadlineExceeded: it may or may not count.
        """
        known_type = parse_action_type(action_type)
        version = await self._clock.draw()
        action = Action(user_id, target_id, version, known_type)
        await self._publisher.publish(self._kind.value, encode_action(self._kind, action))


def parse_action_type(value: int) -> ActionType:
    """Return the action type of a request.

    Raises:
        InvalidParameter: it is neither 1 nor 2.
    """
    try:
        return ActionType(value)
    except ValueError as exc:
        raise InvalidParameter(detail="action_type") from exc


REMEMBERED = 50_000
REMEMBER_S = 60.0


class KnownTargets:
    """Checks ids with `require`, which raises a NotFound, and remembers for a minute which exist."""

    def __init__(self, database: Database, require: Callable[[Any, int], Awaitable[None]]) -> None:
        self._database = database
        self._require = require
        self._known_until: OrderedDict[int, float] = OrderedDict()

    async def require(self, target_id: int) -> None:
        """Return if the target exists; raise what the query raises if not."""
        now = time.monotonic()
        if self._known_until.get(target_id, 0.0) > now:
            return
        await self._query(target_id)
        self._known_until[target_id] = now + REMEMBER_S
        self._known_until.move_to_end(target_id)
        if len(self._known_until) > REMEMBERED:
            self._known_until.popitem(last=False)

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
