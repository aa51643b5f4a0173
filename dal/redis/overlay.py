"""What Redis knows that the rows may not know yet; nothing, while Redis is away: reads go on without."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from loguru import logger
from redis.asyncio import Redis

from dal.redis.pending import ActionStore, find_registers
from dal.registers.model import Action, Kind
from pkg.errors import DependencyUnavailable

# After a failure nobody asks for this long, so that a frozen Redis does not slow every read down to its time-out.
PAUSE_S = 1.0
# A read is not worth more: what is missing shows as soon as it is flushed.
TIMEOUT_S = 0.5

T = TypeVar("T")


class Overlay:
    """The registers of the Redis for actions, as reads see them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._away_until = 0.0

    async def find_registers(
        self, user_id: int, targets: Mapping[Kind, Sequence[int]]
    ) -> dict[Kind, dict[int, Action]]:
        """Return what a user last did to some targets, by kind and target, in one round trip."""
        return await self._ask(lambda: find_registers(self._redis, user_id, targets), {})

    async def list_pending(self, kind: Kind, user_id: int) -> list[Action]:
        """Return what a user did that the rows do not hold yet, in no order."""
        return await self._ask(lambda: ActionStore(self._redis, kind).list_pending_of(user_id), [])

    async def _ask(self, question: Callable[[], Awaitable[T]], nothing: T) -> T:
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until:
            return nothing
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await question()
        except (DependencyUnavailable, TimeoutError) as exc:
            self._away_until = loop.time() + PAUSE_S
            logger.bind(cause=repr(exc.__cause__ or exc)).warning(
                "reading without the newest actions"
            )
            return nothing
