"""Password hashes: argon2id, and the MD5 of the original until its owner logs in once.

Hashing takes tens of milliseconds and 19 MiB on purpose; it runs in threads, a few at a time.
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

T = TypeVar("T")

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB of memory, 2 iterations, 1 degree of parallelism.
TIME_COST = 2
MEMORY_COST_KIB = 19 * 1024
PARALLELISM = 1
HASHING_THREADS = 2
LEGACY_MD5 = re.compile(r"[0-9a-f]{32}")


class Passwords:
    """Hashes and verifies passwords off the event loop. Close it at the end."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(TIME_COST, MEMORY_COST_KIB, PARALLELISM)
        self._threads = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="argon2")
        # Verified when a name is unknown, so that the answer takes as long as for a known one.
        self._decoy = self._hasher.hash("decoy")

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of a password, with its parameters and salt."""
        return await self._run(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Return whether `password` is the one whose hash is `stored`; None takes as long and is False."""
        return await self._run(self._verify, stored or self._decoy, password) and bool(stored)

    def needs_rehash(self, stored: str) -> bool:
        """Return whether a hash that was just verified should be replaced by a stronger one."""
        return bool(LEGACY_MD5.fullmatch(stored)) or self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str, password: str) -> bool:
        if LEGACY_MD5.fullmatch(stored):
            # As slow as the others: how long a login takes must not tell whose hash is old.
            self._hasher.hash(password)
            digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
            return hmac.compare_digest(digest, stored)
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., T], *args: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
