"""Failed logins, counted in the cache so that every instance of the user service sees them.

A window opens with the first failure and lasts `window_s`; while a count stands at its limit, logins are refused. If the cache is lost, so
are the counts, and counting begins again.
"""

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from dal.redis.client import translated_errors
from dal.redis.keys import login_failures_of_address_key, login_failures_of_name_key
from pkg.breaker import CircuitBreaker

# A window is full when KEYS[i] holds ARGV[i] failures. `wait` is the number of seconds until the last full one is over, 0 where none is full.
FIND_WAIT = """
local wait = 0
for i, key in ipairs(KEYS) do
    if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i]) then
        wait = math.max(wait, redis.call('TTL', key), 1)
    end
end
"""
ANSWER = """
return wait
"""
# Where no window is full, count one failure; a window starts with the first and is not prolonged by later ones.
RECORD_FAILURE = """
if wait == 0 then
    for _, key in ipairs(KEYS) do
        if redis.call('INCR', key) == 1 then
            redis.call('EXPIRE', key, ARGV[3])
        end
    end
end
"""
# Where no window is full, forget the failures of the name.
RECORD_SUCCESS = """
if wait == 0 then
    redis.call('DEL', KEYS[1])
end
"""


@dataclass(frozen=True)
class LoginLimits:
    """How many failures a window may hold, and its length in seconds."""

    per_name: int
    per_address: int
    window_s: int


class LoginAttempts:
    """The failed logins of names, and of networks as `pkg.networks` defines them.

    While the cache is down nothing is counted and nobody is refused: an outage of a cache must not be an outage of the login.
    """

    def __init__(self, cache: Redis, limits: LoginLimits) -> None:
        self._limits = limits
        self._breaker = CircuitBreaker("failed logins cannot be counted")
        self._find_wait = cache.register_script(FIND_WAIT + ANSWER)
        self._record_failure = cache.register_script(FIND_WAIT + RECORD_FAILURE + ANSWER)
        self._record_success = cache.register_script(FIND_WAIT + RECORD_SUCCESS + ANSWER)

    async def find_wait_s(self, name: str, network: str) -> int:
        """Return for how many seconds logins of this name or from this network are refused; 0: not at all."""
        return await self._run(self._find_wait, name, network)

    async def record_failure(self, name: str, network: str) -> int:
        """Count one failure of the name and of the network, or return for how many seconds they are refused already.

        Of many guesses at the same time, those that come after the limit must not learn that they were wrong.
        """
        return await self._run(self._record_failure, name, network)

    async def record_success(self, name: str, network: str) -> int:
        """Forget the failures of the name, or return for how many seconds it and the network are refused already."""
        return await self._run(self._record_success, name, network)

    async def _run(self, script: AsyncScript, name: str, network: str) -> int:
        limits = [self._limits.per_name, self._limits.per_address, self._limits.window_s]

        async def run() -> int:
            with translated_errors():
                return int(await script(keys=_keys(name, network), args=limits))

        return await self._breaker.ask(run, otherwise=0)


def _keys(name: str, network: str) -> list[str]:
    return [login_failures_of_name_key(name), login_failures_of_address_key(network)]
