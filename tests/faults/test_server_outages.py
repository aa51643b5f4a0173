"""Each server is away for 30 s under load: who still works, what the others are told, and that all heals without a hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import AllSettings
from tests.faults.ledger import KINDS, count_by_kind
from tests.faults.load import Load, steady_load
from tests.system.system import System

pytestmark = pytest.mark.timeout(300)

OUTAGE_S = 30
HEALS_WITHIN_S = 60
# The load before a fault: every kind of call was made.
WARM_S = 5

ACTIONS = frozenset({"like", "follow"})
# For each server: which calls go on without a single error, and which cannot succeed. The others may do either.
GOES_ON: dict[str, frozenset[str]] = {
    "etcd": KINDS,
    "redis-cache": KINDS,
    "redis-actions": KINDS - ACTIONS - {"message"},
    "rabbitmq": KINDS - ACTIONS,
    "s3": KINDS - {"media", "publish"},
    "mysql": frozenset({"media"}),
}
FAILS: dict[str, frozenset[str]] = {
    "etcd": frozenset(),
    "redis-cache": frozenset(),
    "redis-actions": ACTIONS | {"message"},
    "rabbitmq": ACTIONS,
    "s3": frozenset({"publish"}),
    "mysql": frozenset({"feed", "comment", "comments", "message", "publish", "login"}),
}


@asynccontextmanager
async def stopped(system: System, name: str) -> AsyncIterator[None]:
    """Stop a server cleanly, and start it again with the end of the block."""
    await asyncio.to_thread(system.stack.stop, name)
    try:
        yield
    finally:
        await asyncio.to_thread(system.stack.start, name)


@asynccontextmanager
async def frozen(system: System, name: str) -> AsyncIterator[None]:
    """Let a server answer nothing, and let it go on with the end of the block."""
    with system.frozen(name):
        yield


@dataclass
class Play:
    """A load on the system, and what happens to a server meanwhile."""

    system: System
    settings: AllSettings
    load: Load

    async def outage(
        self, name: str, begin: Callable[[System, str], AbstractAsyncContextManager[None]]
    ) -> None:
        """Let a server be away for a while, then check what the people were told, and that all they were told is true."""
        load = self.load
        await load.goes_on(WARM_S)
        self._check(load.now() - WARM_S, KINDS, frozenset())
        print(f"  {name} goes away for {OUTAGE_S} s")
        async with begin(self.system, name):
            since_s = load.now()
            await load.goes_on(OUTAGE_S)
            self._check(since_s, GOES_ON[name], FAILS[name])
        healed_s = await load.heals(within_s=HEALS_WITHIN_S)
        print(f"  {name} is back; the last call failed {healed_s:.1f} s later")
        await load.stop()
        await load.verify(self.settings)
        print(f"  {name}: {load.describe(since_s)}")

    def _check(self, since_s: float, goes_on: frozenset[str], fails: frozenset[str]) -> None:
        # What was on its way when the server went may have an outcome of its own.
        calls = [call for call in self.load.ledger.calls if call.began_s >= since_s]
        failed = [call for call in calls if call.error]
        assert all(call.is_refusal_of_an_outage for call in failed), count_by_kind(failed)
        broken = [call for call in failed if call.kind in goes_on]
        assert not broken, f"these should have gone on: {count_by_kind(broken)}"
        done = {call.kind for call in calls if not call.error}
        assert not done & fails, f"these succeeded without it: {sorted(done & fails)}"


@pytest.fixture
async def play(system: System, settings: AllSettings, small_video: Path) -> AsyncIterator[Play]:
    """People who use everything."""
    print()
    async with steady_load(system.base_url, small_video) as load:
        yield Play(system, settings, load)


@pytest.mark.parametrize("name", GOES_ON)
async def test_stopped_for_30_s_it_costs_nothing_that_was_acknowledged(
    play: Play, name: str
) -> None:
    await play.outage(name, stopped)


@pytest.mark.parametrize("name", GOES_ON)
async def test_frozen_for_30_s_it_costs_nothing_that_was_acknowledged(
    play: Play, name: str
) -> None:
    await play.outage(name, frozen)
