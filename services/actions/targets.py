"""Whether the target of an action exists, without a query for every like of a popular video."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from dal.db.engine import Database
from pkg.errors import NotFound

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
