"""Who acts: the user whom a token names, as long as the account is there and not suspended.

A signature outlives an account. Which accounts may act is looked up in memory: an id that nobody has asked about yet is looked up once,
in one statement with all others of that moment, and every id that was used in the last half minute is looked up again every two
seconds, in one statement for all. See "Decisions" in services/README.md.
"""

import asyncio
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from cachetools import LRUCache
from loguru import logger

from dal.db.accounts import list_active_ids
from dal.db.engine import Database
from pkg.batching import Batcher
from pkg.endurance import repeat_until_stopped
from pkg.errors import DeadlineExceeded, DependencyUnavailable, Unauthenticated
from pkg.stopping import wait_for_stop
from pkg.token import TokenVerifier

CHECK_INTERVAL_S = 2.0
# Who does not act for so long is new when they come back.
RESTS_AFTER_S = 30.0
# Of more only those are looked at who acted since the last check.
MOST_CHECKED = 20_000
REMEMBERED_FOR_OUTAGES = 50_000


class Viewers:
    """Tells who may act; `keep_checking` must run beside it, or whoever was let in once is never looked at again."""

    def __init__(self, verifier: TokenVerifier, database: Database) -> None:
        self._verifier = verifier
        self._database = database
        self._lookups = Batcher(self._look_up)
        # Accounts that may act, which of them did since the last check, and when the others did as far as checks know.
        self._active: set[int] = set()
        self._used: set[int] = set()
        self._used_at_s: dict[int, float] = {}
        # Who could act some time ago: believed while MySQL cannot be asked, and only then.
        self._resting: LRUCache[int, bool] = LRUCache(REMEMBERED_FOR_OUTAGES)
        self._is_blind = False

    async def require(self, token: str) -> int:
        """Return the id of the user whom `token` names.

        Raises:
            Unauthenticated: the token is missing, malformed, forged or expired, or the account is gone or suspended.
            DependencyUnavailable, DeadlineExceeded: MySQL does not answer, and this account was not seen before.
        """
        user_id = self._verifier.verify(token)
        if user_id not in self._active:
            await self._admit(user_id)
        self._used.add(user_id)
        return user_id

    async def find(self, token: str) -> int | None:
        """Return the id of the user whom `token` names, or None for an anonymous viewer."""
        if not token:
            return None
        try:
            return await self.require(token)
        except Unauthenticated:
            return None

    async def keep_checking(self, stop: asyncio.Event) -> None:
        """Look again at every account that acts, until `stop`; a background task of a service."""

        async def turn() -> None:
            if await wait_for_stop(stop, CHECK_INTERVAL_S):
                return
            try:
                await self.check()
            except (DependencyUnavailable, DeadlineExceeded) as exc:
                self._go_blind(exc)

        await repeat_until_stopped(stop, turn, name="account checks", pause_s=CHECK_INTERVAL_S)

    async def check(self) -> None:
        """Look at every account that acted lately; let those rest that did not.

        Raises:
            DependencyUnavailable, DeadlineExceeded: MySQL does not answer; everybody stays who they were.
        """
        used = self._used.copy()
        used_at_s = self._list_recent(used)
        checked = used_at_s.keys()
        active = await self._list_active(checked)
        gone = checked - active
        # Whoever was admitted during the check stays, and is looked at by the next one.
        self._used -= used
        self._used_at_s = {user_id: used_at_s[user_id] for user_id in active}
        for user_id in self._active - checked - self._used:
            self._resting[user_id] = True
        self._active = active | self._used
        if gone:
            logger.bind(user_ids=sorted(gone)[:20], count=len(gone)).info("accounts may not act")
        if checked and self._is_blind:
            self._is_blind = False
            logger.info("accounts are checked again")

    def _list_recent(self, used: set[int]) -> dict[int, float]:
        now_s = time.monotonic()
        recent = {
            user_id: at_s
            for user_id, at_s in self._used_at_s.items()
            if now_s - at_s <= RESTS_AFTER_S
        }
        now = dict.fromkeys(used, now_s)
        return recent | now if len(recent) + len(now) <= MOST_CHECKED else now

    async def _admit(self, user_id: int) -> None:
        # Popped and put back: whoever is found to be gone is not believed in the next outage.
        was_active = self._resting.pop(user_id, False)
        if not (was_active and self._is_blind):
            try:
                found = await self._lookups.get((user_id,))
            except (DependencyUnavailable, DeadlineExceeded) as exc:
                if not was_active:
                    raise
                self._go_blind(exc)
            else:
                if user_id not in found:
                    raise Unauthenticated(detail="account gone or suspended")
        self._active.add(user_id)

    def _go_blind(self, exc: Exception) -> None:
        if not self._is_blind:
            logger.bind(cause=repr(exc)).warning("accounts cannot be checked")
        self._is_blind = True

    async def _look_up(self, user_ids: set[int]) -> Mapping[int, bool]:
        return dict.fromkeys(await self._list_active(user_ids), True)

    async def _list_active(self, user_ids: AbstractSet[int]) -> set[int]:
        if not user_ids:
            return set()
        # On the source: whoever registered a moment ago acts at once, and who is gone is gone everywhere.
        async with self._database.read_source() as connection:
            return await list_active_ids(connection, user_ids)
