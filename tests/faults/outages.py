"""How a process of the whole system is away while a block runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.eventually import eventually
from tests.system.system import System, kill_process

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
    """SIGKILL a process, and start it again with the end of the block."""
    pid = system.stack.pid(name)
    # A frozen process does nothing in good order, and what it is told to stop the supervisor does not start again. The supervisor itself
    # goes on: it reads what all others print, and they would soon wait for it.
    with system.frozen(name):
        stopping = asyncio.create_task(asyncio.to_thread(system.stack.stop, name))
        await eventually(lambda: _state_of(system, name) == "stopping")
        kill_process(pid)
    await stopping
    try:
        yield
    finally:
        await asyncio.to_thread(system.stack.start, name)


def _state_of(system: System, name: str) -> str:
    (state,) = (item.state for item in system.stack.status() if item.name == name)
    return state
