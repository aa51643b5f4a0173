"""Failed logins, counted in the cache so that every instance of the user service sees them.

A window opens with the first failure and lasts `window_s`; while a count stands at its limit, logins are refused. The counts may be
lost with the cache: then the slow-down begins anew.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from loguru import logger
from redis.asyncio import Redis

from dal.redis.client import translated_errors
from dal.redis.keys import login_failures_of_address_key, login_failures_of_name_key
from pkg.errors import DependencyUnavailable

# A frozen server costs its timeout: once per login, not at every step of it.
PAUSE_S = 1.0
# Count one failure; the window starts with the first and is not prolonged by later ones.
RECORD_FAILURE = """
for i, key in ipairs(KEYS) do
    if redis.call('INCR', key) == 1 then
        redis.call('EXPIRE', key, ARGV[1])
    end
end
"""
# Seconds until the last window that is full is over, 0 where none is: KEYS[i] may hold less than ARGV[i].
FIND_WAIT = """
local wait = 0
for i, key in ipairs(KEYS) do
    if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i]) then
        wait = math.max(wait, redis.call('TTL', key), 1)
    end
end
return wait
"""


@dataclass(frozen=True)
class LoginLimits:
    """How many failures a window may hold, and its length in seconds."""

    per_name: int
    per_address: int
    window_s: int


class LoginAttempts:
    """The failed logins of names and addresses.

    Where the cache is away nothing is counted and nobody is refused: an outage of a cache must not be one of the login.
    """

    def __init__(self, cache: Redis, limits: LoginLimits) -> None:
        self._cache = cache
        self._limits = limits
        self._record_failure = cache.register_script(RECORD_FAILURE)
        self._find_wait = cache.register_script(FIND_WAIT)
        self._pause_ends_at = 0.0

    async def find_wait_s(self, name: str, address: str) -> int:
        """Return for how many seconds logins of this name or from this address are refused; 0: not at all."""
        limits = [self._limits.per_name, self._limits.per_address]
        keys = _keys(name, address)
        return int(await self._ask(lambda: self._find_wait(keys=keys, args=limits)) or 0)

    async def record_failure(self, name: str, address: str) -> None:
        """Count one failure of the name and of the address."""
        keys = _keys(name, address)
        await self._ask(lambda: self._record_failure(keys=keys, args=[self._limits.window_s]))

    async def clear(self, name: str) -> None:
        """Forget the failures of a name, after a success."""
        await self._ask(lambda: self._cache.delete(login_failures_of_name_key(name)))

    async def _ask(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Return the cache's answer, or None while it is away."""
        if time.monotonic() < self._pause_ends_at:
            return None
        try:
            with translated_errors():
                return await command()
        except DependencyUnavailable as exc:
            self._pause_ends_at = time.monotonic() + PAUSE_S
            logger.bind(cause=repr(exc.__cause__)).warning("failed logins cannot be counted")
            return None


def _keys(name: str, address: str) -> list[str]:
    return [login_failures_of_name_key(name), login_failures_of_address_key(address)]
