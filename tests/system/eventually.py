"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

T = TypeVar("T")
INTERVAL_S = 0.1


async def eventually(
    attempt: Callable[[], Awaitable[T | None]], *, within_s: float, interval_s: float = INTERVAL_S
) -> T:
    """Return the first result of `attempt` that is neither false nor an error of the condition.

    An AssertionError or a lost connection means "not yet"; the last one is shown where the deadline passes.
    """
    deadline = time.monotonic() + within_s
    problem = "it was not true"
    while True:
        cause: Exception | None = None
        try:
            if result := await attempt():
                return result
        except (AssertionError, httpx.TransportError) as exc:
            cause, problem = exc, f"{type(exc).__name__}: {exc}"
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {problem}") from cause
        await asyncio.sleep(interval_s)
