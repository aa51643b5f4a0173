"""Password hashes: argon2id, and the MD5 of the original, bare or within argon2id, until its owner logs in once.

Hashing takes tens of milliseconds and 19 MiB on purpose; it runs in threads, a few at a time. Whose turn it is, a fair
queue says: logins go before registrations, and each network has its turn.
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pkg.fair_queue import FairQueue
from pkg.settings import Count, Seconds, Section

T = TypeVar("T")

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB of memory, 2 iterations, 1 degree of parallelism.
TIME_COST = 2
MEMORY_COST_KIB = 19 * 1024
PARALLELISM = 1
HASHING_THREADS = 2
LEGACY_MD5 = re.compile(r"[0-9a-f]{32}")
# In front of the argon2id hash of an MD5.
WRAPPED_MD5 = "md5:"


class HashingSettings(Section):
    """How many wait for one of the hashing threads."""

    max_waiting: Count
    """How many logins and registrations wait at once; beyond that, the address that waits most is refused with 429."""
    max_waiting_per_address: Count
    """How many logins, and as many registrations, from one address wait at once; a classroom may be one."""
    max_wait_s: Seconds
    """Who has waited so long is refused with 429; below the gateway's RPC deadline, so that the caller gets an answer."""


class Passwords:
    """Hashes and verifies passwords off the event loop. Close it at the end.

    Raises (hash and verify):
        RateLimited: too many wait, of this network or in all.
    """

    def __init__(self, settings: HashingSettings) -> None:
        self._queue = FairQueue(
            places=HASHING_THREADS,
            max_waiting=settings.max_waiting,
            max_waiting_per_holder=settings.max_waiting_per_address,
            max_wait_s=settings.max_wait_s,
        )
        self._hasher = _make_hasher()
        self._threads = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="argon2")
        # Verified when a name is unknown, so that the answer takes as long as for a known one.
        self._decoy = self._hasher.hash("decoy")

    async def hash(self, password: str, *, network: str, urgent: bool = False) -> str:
        """Return the argon2id hash of a password, with its parameters and salt.

        Args:
            network: whose turn is used up; see `pkg.networks`.
            urgent: whether somebody who has an account waits for it.
        """
        async with self._queue.turn(network, urgent=urgent):
            return await self._run(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str, *, network: str) -> bool:
        """Return whether `password` is the one whose hash is `stored`; None takes as long and is False."""
        async with self._queue.turn(network, urgent=True):
            return await self._run(self._verify, stored or self._decoy, password) and bool(stored)

    def needs_rehash(self, stored: str) -> bool:
        """Return whether a hash that was just verified should be replaced by a stronger one."""
        if LEGACY_MD5.fullmatch(stored) or stored.startswith(WRAPPED_MD5):
            return True
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str, password: str) -> bool:
        if LEGACY_MD5.fullmatch(stored):
            # As slow as the others: how long a login takes must not tell whose hash is old.
            self._hasher.hash(password)
            return hmac.compare_digest(_md5(password), stored)
        if stored.startswith(WRAPPED_MD5):
            stored, password = stored.removeprefix(WRAPPED_MD5), _md5(password)
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., T], *args: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def wrap_md5(digest: str) -> str:
    """Return what is stored in the place of the original's MD5: its argon2id hash, which `verify` knows.

    Takes tens of milliseconds and lets other threads run.
    """
    return WRAPPED_MD5 + _make_hasher().hash(digest)


def _make_hasher() -> PasswordHasher:
    return PasswordHasher(TIME_COST, MEMORY_COST_KIB, PARALLELISM)


def _md5(password: str) -> str:
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
