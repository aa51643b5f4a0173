"""Waiting for a condition, with a deadline."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

import httpx

T = TypeVar("T")
# Videos are converted with the lowest priority, which gets little where every worker is busy.
PATIENCE_S = 60.0
INTERVAL_S = 0.05


@overload
async def eventually(
    condition: Callable[[], Awaitable[T | None]], *, within_s: float = ..., interval_s: float = ...
) -> T: ...


@overload
async def eventually(
    condition: Callable[[], T | None], *, within_s: float = ..., interval_s: float = ...
) -> T: ...


async def eventually(
    condition: Callable[[], Any],
    *,
    within_s: float = PATIENCE_S,
    interval_s: float = INTERVAL_S,
) -> Any:
    """Return the condition's first result that is true; fail when there is none in time.

    An AssertionError or a lost HTTP connection means "not yet"; the last one is shown with the failure.
    """
    cause: Exception | None = None
    try:
        async with asyncio.timeout(within_s) as deadline:
            while True:
                try:
                    held = condition()
                    if inspect.isawaitable(held):
                        held = await held
                    if held:
                        return held
                    cause = None
                except (AssertionError, httpx.TransportError) as exc:
                    cause = exc
                await asyncio.sleep(interval_s)
    except TimeoutError:
        if not deadline.expired():
            raise
        problem = f"{type(cause).__name__}: {cause}" if cause else "it was not true"
        raise AssertionError(f"not within {within_s} s: {problem}") from cause
