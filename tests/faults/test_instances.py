"""Two of each process under load: one dies or is told to stop, and nobody loses what was acknowledged.

SIGKILL fails at most calls that were in flight on that instance, none that is safe to repeat; SIGTERM fails none.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from dal.registers.model import Kind
from pkg.errors import DeadlineExceeded
from scripts.stack import Stack
from scripts.stack.inventory import PRODUCT
from scripts.stack.plain_http import NO_CERTIFICATES
from scripts.stack.processes import is_alive
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.faults.conftest import OVERRIDES
from tests.faults.ledger import KINDS, SAFE_TO_REPEAT, Call, count_by_kind
from tests.faults.load import Load, steady_load
from tests.system.metrics import sum_samples
from tests.system.system import System, running_system

pytestmark = pytest.mark.timeout(300)

# These change something, but nothing more when they are done twice: gateway and nginx repeat them.
REPEATED = SAFE_TO_REPEAT | {"like", "follow", "login"}
# Few people with much patience: what a busy machine fails is not told from what a fault fails.
PEOPLE, CALLS_PER_S = 10, 12
PATIENT = {"DOUSHENG_GATEWAY__RPC_TIMEOUT_S": "8"}
# Who answers which calls. No service calls another one.
ANSWERS = {
    "comment": {"comment", "comments"},
    "favorite": {"like", "likes"},
    "message": {"message", "chat"},
    "relation": {"follow", "followed", "followers", "friends"},
    "user": {"user", "login"},
    "video": {"feed", "publish", "publish list", "publish status"},
}
# What a busy machine does to calls that have nothing to do with the fault.
TOO_SLOW = f"503 {DeadlineExceeded.status_code}"
WARM_S = 5
HEALS_WITHIN_S = 30
# Whatever was sent to a dead process before anybody could know.
NOTICED_WITHIN_S = 0.3
LEFT_HANGING = 4
# Shorter than any deadline.
FROZEN_S = 1.5


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two gateways and two instances of each service."""
    folder = tmp_path_factory.mktemp("system")
    overrides = OVERRIDES | PATIENT
    with running_system(folder, workers=2, overrides=overrides, report=print) as running:
        yield running


@dataclass
class Play:
    """A load on the system, and what happens to one of its processes meanwhile."""

    system: System
    settings: AllSettings
    load: Load

    async def kill_in_the_middle(self, name: str) -> float:
        """SIGKILL a process once calls wait for it, until another one has its place; return when."""
        waiting = self.load.ledger.in_flight.total() + LEFT_HANGING
        with self.system.frozen(name):
            # A service that is called less often is killed with fewer.
            with suppress(AssertionError):
                await eventually(
                    lambda: self.load.ledger.in_flight.total() >= waiting, within_s=FROZEN_S
                )
            print(f"  {name} dies with in flight {dict(self.load.ledger.in_flight)}")
            return await self.send(name, signal.SIGKILL)

    async def send(self, name: str, signal_number: signal.Signals) -> float:
        """Send a signal to a process that then ends, wait until another one has its place; return when."""
        pid = self.system.stack.pid(name)
        sent_s = self.load.now()
        os.kill(pid, signal_number)
        await eventually(lambda: not is_alive(pid), within_s=30)
        await asyncio.to_thread(self.system.stack.wait_ready, name)
        return sent_s

    async def end(self) -> None:
        """Check that the load goes on as if nothing had been, and that all it was told is true."""
        await self.load.heals(within_s=HEALS_WITHIN_S)
        await self.load.stop()
        await self.load.verify(self.settings)
        print(f"  {self.load.describe()}")

    def failures(self, since_s: float, section: str = "gateway") -> list[Call]:
        """Return the calls that failed since a time; of those that a section does not answer, the slow ones do not count."""
        answers = ANSWERS.get(section, KINDS)
        return [
            call
            for call in self.load.ledger.failures(since_s)
            if call.kind in answers or call.error != TOO_SLOW
        ]


@asynccontextmanager
async def playing(system: System, settings: AllSettings, small_video: Path) -> AsyncIterator[Play]:
    """Let people use everything while the block runs."""
    print()
    async with steady_load(
        system.base_url, small_video, people=PEOPLE, calls_per_s=CALLS_PER_S
    ) as load:
        play = Play(system, settings, load)
        await load.goes_on(WARM_S)
        yield play


def name_instances(section: str) -> tuple[str, str]:
    """Return the names of both instances."""
    return section, f"{section}-2"


@pytest.mark.parametrize("section", [kind.value for kind in Kind])
async def test_two_instances_take_every_action_and_one_consumes_each_once(
    system: System, settings: AllSettings, small_video: Path, section: str
) -> None:
    async with playing(system, settings, small_video) as play:
        await play.end()
    ports = [system.stack.site.ports.of(f"{section}-metrics", number) for number in (1, 2)]

    async with httpx.AsyncClient(trust_env=False, verify=NO_CERTIFICATES) as http:
        count = partial(read_counters, http, ports, queue=section)
        published = await count("dousheng_mq_published_total", outcome="confirmed")
        consumed = await count("dousheng_mq_consumed_total")

    assert min(published) > 0
    assert min(consumed) == 0  # The broker keeps the other one in reserve.
    assert sum(consumed) == sum(published)


async def read_counters(
    http: httpx.AsyncClient, ports: Sequence[int], name: str, **labels: str
) -> list[int]:
    """Return a counter of each process, by the port of its metrics."""
    urls = [f"http://127.0.0.1:{port}/metrics" for port in ports]
    return [await sum_samples(http, url, name, **labels) for url in urls]


@pytest.mark.parametrize("section", PRODUCT)
async def test_an_instance_that_is_killed_fails_nothing_but_what_was_in_flight_on_it(
    system: System, settings: AllSettings, small_video: Path, section: str
) -> None:
    async with playing(system, settings, small_video) as play:
        for name in name_instances(section):
            killed_s = await play.kill_in_the_middle(name)
            await play.load.goes_on(WARM_S)

            failed = play.failures(killed_s, section)
            print(f"  {name}: failed {count_by_kind(failed)}")
            assert not [call for call in failed if call.kind in REPEATED], count_by_kind(failed)
            later = [call for call in failed if call.began_s > killed_s + NOTICED_WITHIN_S]
            assert not later, count_by_kind(later)

        await play.end()


@pytest.mark.parametrize("section", PRODUCT)
async def test_an_instance_that_is_told_to_stop_fails_no_call(
    system: System, settings: AllSettings, small_video: Path, section: str
) -> None:
    async with playing(system, settings, small_video) as play:
        for name in name_instances(section):
            stopped_s = await play.send(name, signal.SIGTERM)
            await play.load.goes_on(WARM_S)
            failed = play.failures(stopped_s, section)
            print(f"  {name}: failed {count_by_kind(failed)}")
            assert not failed, count_by_kind(failed)

        await play.end()


async def test_a_rolling_restart_of_everything_fails_no_call(
    system: System, settings: AllSettings, small_video: Path
) -> None:
    before = pids_of(system.stack)
    async with playing(system, settings, small_video) as play:
        await asyncio.to_thread(system.stack.restart)
        after = pids_of(system.stack)

        assert not play.failures(0), count_by_kind(play.failures(0))
        renewed = {name for name in before if before[name] != after[name]}
        assert renewed == {name for section in PRODUCT for name in name_instances(section)}
        await play.end()


async def test_an_nginx_worker_that_is_killed_fails_at_most_what_was_in_flight(
    system: System, settings: AllSettings, small_video: Path
) -> None:
    async with playing(system, settings, small_video) as play:
        (worker,) = psutil.Process(system.stack.pid("nginx")).children()
        killed_s = play.load.now()

        worker.kill()
        await play.load.goes_on(WARM_S)

        failed = play.failures(killed_s)
        assert not [call for call in failed if call.began_s > killed_s + NOTICED_WITHIN_S], failed
        await play.end()


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGQUIT])
async def test_an_nginx_that_ends_fails_no_call_that_it_has_taken(
    system: System, settings: AllSettings, small_video: Path, signal_number: signal.Signals
) -> None:
    async with playing(system, settings, small_video) as play:
        (worker,) = psutil.Process(system.stack.pid("nginx")).children()

        ended_s = await play.send("nginx", signal_number)
        await play.load.goes_on(WARM_S)

        # Until the next one listens there is nobody to connect to.
        failed = play.failures(ended_s)
        print(f"  nginx ended: failed {count_by_kind(failed)}")
        assert {call.error for call in failed} <= {"ConnectError"}, count_by_kind(failed)
        await eventually(lambda: not is_alive(worker.pid), within_s=30)
        await play.end()


def with_workers(system: System, workers: int) -> Stack:
    """Return the stack as a command sees it that asks for another number of workers."""
    return Stack(
        system.stack.site.run_dir,
        system.stack.site.ports.base,
        workers=workers,
        overrides=OVERRIDES | PATIENT,
        report=print,
    )


def pids_of(stack: Stack) -> dict[str, int | None]:
    """Return the id of each process."""
    return {item.name: item.pid for item in stack.status()}


async def test_fewer_and_more_workers_and_a_restart_of_single_ones_fail_no_call(
    system: System, settings: AllSettings, small_video: Path
) -> None:
    single, double = with_workers(system, 1), with_workers(system, 2)
    before = pids_of(double)
    async with playing(system, settings, small_video) as play:
        await asyncio.to_thread(single.up)
        alone = pids_of(single)
        await asyncio.to_thread(single.restart, ["user", "gateway"])
        renewed = pids_of(single)
        await asyncio.to_thread(double.up)
        again = pids_of(double)

        assert not play.failures(0), count_by_kind(play.failures(0))
        await play.end()

    assert alone == {name: before[name] for name in alone}
    assert {name for name in alone if alone[name] != renewed[name]} == {"user", "gateway"}
    assert renewed == {name: again[name] for name in renewed}
    assert None not in again.values()
