"""Waiting for a condition with a deadline."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

PATIENCE_S = 30.0


async def eventually(
    condition: Callable[[], Awaitable[object] | object], *, within_s: float = PATIENCE_S
) -> None:
    """Wait until the condition holds; fail when it does not in time."""
    async with asyncio.timeout(within_s):
        while True:
            held = condition()
            if inspect.isawaitable(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.02)
