"""Token buckets in bounded memory: one per user, and per network one for requests and one for registrations."""

import math
import time
from collections.abc import Callable, Hashable

from cachetools import LRUCache

from gateway.metrics import RATE_LIMITED
from gateway.settings import RateLimitSettings
from pkg.errors import RateLimited
from pkg.networks import network_of


class TokenBuckets:
    """Lets each key spend `burst` requests at once and `rate` per second; forgets the longest idle keys."""

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        max_tracked: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        # For each key what it may spend, and since when.
        self._buckets: LRUCache[Hashable, tuple[float, float]] = LRUCache(max_tracked)

    def take(self, key: Hashable) -> float:
        """Spend one request of `key`; return 0, or after how many seconds it could be spent."""
        now = self._clock()
        tokens, since = self._buckets.get(key, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        return 0.0 if allowed else (1 - tokens) / self._rate


class RequestLimits:
    """The limits of the contract; a request over one of them raises `RateLimited`."""

    def __init__(self, settings: RateLimitSettings) -> None:
        self._enabled = settings.enabled
        self._users = TokenBuckets(
            rate=settings.user_rate_per_s,
            burst=settings.user_burst_requests,
            max_tracked=settings.max_tracked,
        )
        self._addresses = TokenBuckets(
            rate=settings.address_rate_per_s,
            burst=settings.address_burst_requests,
            max_tracked=settings.max_tracked,
        )
        self._registrations = TokenBuckets(
            rate=settings.registration_rate_per_min / 60,
            burst=settings.registration_burst_requests,
            max_tracked=settings.max_tracked,
        )

    def check_user(self, user_id: int) -> None:
        """Count one request of a user."""
        self._check(self._users, user_id, "user")

    def check_address(self, address: str) -> None:
        """Count one request of the network that an address belongs to."""
        self._check(self._addresses, network_of(address), "address")

    def check_registration(self, address: str) -> None:
        """Count one registration of the network that an address belongs to."""
        self._check(self._registrations, network_of(address), "registration")

    def _check(self, buckets: TokenBuckets, key: Hashable, limit: str) -> None:
        if not self._enabled:
            return
        wait_s = buckets.take(key)
        if wait_s:
            RATE_LIMITED.labels(limit).inc()
            raise RateLimited(retry_after_s=math.ceil(wait_s))
