"""How a process of the whole system is away while a block runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.system.system import System

# What was killed repairs its files first, and a busy machine takes its time.
BACK_WITHIN_S = 180

Fault = Callable[[System, str], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def stopped(system: System, name: str) -> AsyncIterator[None]:
    """Stop a process cleanly, and start it again with the end of the block."""
    await asyncio.to_thread(system.stack.stop, name)
    try:
        yield
    finally:
        await asyncio.to_thread(system.stack.start, name)


@asynccontextmanager
async def frozen(system: System, name: str) -> AsyncIterator[None]:
    """Let a process answer nothing, and let it go on with the end of the block."""
    with system.frozen(name):
        yield


@asynccontextmanager
async def killed(system: System, name: str) -> AsyncIterator[None]:
    """SIGKILL a process without a supervisor to start it again, which comes back with the end of the block."""
    with system.down(name):
        yield
    await asyncio.to_thread(system.stack.wait_ready, name, timeout_s=BACK_WITHIN_S)
