"""A circuit breaker for servers whose answer is welcome and not needed.

Own code after a trial of purgatory 3.0 (aiobreaker and pybreaker are not kept up, or know no asyncio): it counts a caller that hangs up as a
failure of the server, so that one impatient client would close the way for all, and it measures the pause on the wall clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from loguru import logger

from pkg.errors import DeadlineExceeded, DependencyUnavailable

PAUSE_S = 1.0

T = TypeVar("T")


class CircuitBreaker:
    """Asks a server that may be down, and after a failure asks nothing for a second: a frozen one must not slow every call down.

    Args:
        warning: the log line of a failure; the pause keeps it to one a second.
        timeout_s: how long an answer may take; None leaves that to the client's own deadline.
        level: of the log line; below WARNING where nobody misses the answer.
    """

    def __init__(
        self,
        warning: str,
        *,
        timeout_s: float | None = None,
        pause_s: float = PAUSE_S,
        level: str = "WARNING",
    ) -> None:
        self._warning = warning
        self._level = level
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._open_until = 0.0

    async def ask(self, question: Callable[[], Awaitable[T]], *, otherwise: T) -> T:
        """Return the answer, or `otherwise` where the server is unavailable, too slow, or was so a moment ago."""
        clock = asyncio.get_running_loop().time
        if clock() < self._open_until:
            return otherwise
        try:
            async with asyncio.timeout(self._timeout_s):
                return await question()
        except (DependencyUnavailable, DeadlineExceeded, TimeoutError) as exc:
            self._open_until = clock() + self._pause_s
            logger.bind(cause=repr(exc.__cause__ or exc)).log(self._level, self._warning)
            return otherwise
