"""Each server is away for 30 s under load: who still works, what the others are told, and that all heals without a hand."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import AllSettings
from tests.faults.ledger import KINDS, count_by_kind
from tests.faults.load import Load, steady_load
from tests.faults.outages import Fault, frozen, stopped
from tests.system.system import System

pytestmark = pytest.mark.timeout(300)

OUTAGE_S = 30
HEALS_WITHIN_S = 60
# Few, so that a deadline passes because a server is away, not because the processor is busy.
PEOPLE, CALLS_PER_S = 14, 25
# How often a server is killed in a row.
KILLS = 2
# The load before a fault: every kind of call was made.
WARM_S = 5

EVERYTHING = KINDS | {"socket"}
ACTIONS = frozenset({"like", "follow"})
# For each server: which calls go on without a single error, and which cannot succeed. The others may do either.
GOES_ON: dict[str, frozenset[str]] = {
    "mysql-replica-1": EVERYTHING,
    "etcd": EVERYTHING,
    "redis-cache": EVERYTHING,
    "redis-actions": EVERYTHING - ACTIONS - {"message"},
    "rabbitmq": EVERYTHING - ACTIONS,
    "s3": EVERYTHING - {"media", "publish"},
    "mysql": frozenset({"media"}),
}
FAILS: dict[str, frozenset[str]] = {
    "mysql-replica-1": frozenset(),
    "etcd": frozenset(),
    "redis-cache": frozenset(),
    "redis-actions": ACTIONS | {"message"},
    "rabbitmq": ACTIONS,
    "s3": frozenset({"publish"}),
    "mysql": frozenset({"feed", "comment", "comments", "message", "publish", "login"}),
}

# A server that hangs looks healthy until a check of it does not end in time.
NOTICED_WITHIN_S = {"mysql-replica-1": 4.0}


@dataclass
class Play:
    """A load on the system, and what happens to a server meanwhile."""

    system: System
    settings: AllSettings
    load: Load

    async def outage(self, name: str, begin: Fault, *, noticed_within_s: float = 0) -> None:
        """Let a server be away for a while, then check what the people were told, and that all of it is true.

        Args:
            noticed_within_s: calls that begin so soon may fail whatever they need.
        """
        load = self.load
        await load.goes_on(WARM_S)
        self.check(load.now() - WARM_S, EVERYTHING, frozenset())
        print(f"  {name} goes away for {OUTAGE_S} s")
        async with begin(self.system, name):
            since_s = load.now()
            await load.goes_on(OUTAGE_S)
            self.check(since_s + noticed_within_s, GOES_ON[name], FAILS[name])
            back_s = load.now()
        await self.heals(name, since_s=since_s, back_s=back_s)

    async def heals(self, name: str, *, since_s: float, back_s: float) -> None:
        """Check that everything works again soon, and that nothing was lost."""
        load = self.load
        healed_s = await load.heals(within_s=HEALS_WITHIN_S, since_s=back_s)
        print(f"  {name} is started; the last call failed {healed_s:.1f} s later")
        await load.stop()
        await load.verify(self.settings)
        print(f"  {name}: {load.describe(since_s)}")
        sockets = Counter(call.error for call in load.ledger.sockets if call.ended_s >= since_s)
        print(f"  WebSockets that ended: {dict(sockets) or 'none'}")

    def check(self, since_s: float, goes_on: frozenset[str], fails: frozenset[str]) -> None:
        """Check that who failed was refused as it is done in an outage, none of `goes_on`, and all of `fails`."""
        # What was on its way when the server went may have an outcome of its own.
        calls = [call for call in self.load.ledger.calls if call.began_s >= since_s]
        failed = [call for call in calls if call.error]
        assert all(call.is_refusal_of_an_outage for call in failed), count_by_kind(failed)
        ended = [call for call in self.load.ledger.sockets if call.ended_s >= since_s]
        broken = [call for call in (*failed, *ended) if call.kind in goes_on]
        assert not broken, f"these should have gone on: {count_by_kind(broken)}"
        done = {call.kind for call in calls if not call.error}
        assert not done & fails, f"these succeeded without it: {sorted(done & fails)}"


@pytest.fixture
async def play(system: System, settings: AllSettings, small_video: Path) -> AsyncIterator[Play]:
    """People who use everything."""
    print()
    async with steady_load(
        system.base_url, small_video, people=PEOPLE, calls_per_s=CALLS_PER_S
    ) as load:
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
    await play.outage(name, frozen, noticed_within_s=NOTICED_WITHIN_S.get(name, 0))


@pytest.mark.parametrize("name", GOES_ON)
async def test_killed_it_is_started_again_and_costs_nothing_that_was_acknowledged(
    play: Play, name: str
) -> None:
    await play.load.goes_on(WARM_S)
    since_s = play.load.now()

    for _ in range(KILLS):
        print(f"  {name} is killed")
        await asyncio.to_thread(play.system.kill, name)
        await asyncio.to_thread(play.system.stack.wait_ready, name)
        await play.load.goes_on(WARM_S)

    play.check(since_s, GOES_ON[name], frozenset())
    await play.heals(name, since_s=since_s, back_s=play.load.now())
