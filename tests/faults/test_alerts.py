"""Each alert fires for a cause that is real, with the labels that name it, and ends after its cause."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from scripts.stack.servers.prometheus import Prometheus
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.faults.alert_causes import CAUSES, SPOOL_BYTES, Cause, Expected, Stage
from tests.faults.conftest import OVERRIDES
from tests.faults.load import steady_load
from tests.faults.scaled_rules import speed_up
from tests.observe.prometheus import ask, open_api, running_prometheus
from tests.system.system import System, running_system

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

# Few, so that a processor that is busy fires nothing by itself.
PEOPLE, CALLS_PER_S = 8, 10
# A pool that a small crowd exhausts.
SMALL_POOL = {"DOUSHENG_MYSQL__POOL_CONNECTIONS": "4"}
# An upload is old after two minutes, and every instance looks each ten seconds.
FIRES_WITHIN_S = 240
# A leak ends once six hours, 72 s here, were without a single bad reply, of which a busy machine gives some.
CLEARS_WITHIN_S = 400
LOOK_INTERVAL_S = 0.25
# What happens at the same time; nothing of it hides another's alert.
SCENES: Mapping[str, Sequence[str]] = {
    "much at once": (
        "a frozen storage",
        "a stopped registry",
        "a frozen service",
        "a process without processor",
        "a full disk",
        "a message that is no action",
    ),
    "the broker": ("a killed broker",),
    "the database": ("a frozen database",),
    "the schema": ("a broken schema",),
    "a refusal": ("an action that mysql refuses",),
    "a crowd": ("a crowd without consumer",),
}


@pytest.fixture(scope="module")
def spool_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of its own for the uploads of a stack that is not up yet, nearly as small as one that is told as full."""
    disk = tmp_path_factory.mktemp("system") / "spool"
    disk.mkdir(mode=0o700)
    size = f"size={SPOOL_BYTES},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=True, timeout=20)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True, timeout=20)


@pytest.fixture(scope="module")
def system(spool_disk: Path) -> Iterator[System]:
    """Every server and one of each process of the product; without a replica nothing is read while MySQL is away."""
    overrides = OVERRIDES | SMALL_POOL
    with running_system(spool_disk.parent, overrides=overrides, report=print) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the rules of config/prometheus, for which time goes faster."""
    place = tmp_path_factory.mktemp("prometheus")
    with running_prometheus(system.stack, place, change=speed_up) as running:
        yield running


@dataclass
class Watch:
    """Somebody who looks at the alerts all the time."""

    api: httpx.AsyncClient
    names: Mapping[str, str]
    """The processes by the address at which Prometheus asks them."""

    async def is_firing(self, expected: Expected) -> bool:
        """Say whether an alert fires that has these labels."""
        return any(
            labels["alertname"] == expected.alert and expected.labels.items() <= labels.items()
            for labels in await self._list_firing()
        )

    async def _list_firing(self) -> list[dict[str, str]]:
        """Return the labels of every alert that fires; `instance` is the name of the process."""
        alerts = (await ask(self.api, "alerts"))["alerts"]
        found = [alert["labels"] for alert in alerts if alert["state"] == "firing"]
        for labels in found:
            if "instance" in labels:
                labels["instance"] = self.names[labels["instance"]]
        return found

    async def wait(self, expected: Expected, *, fires: bool, within_s: float) -> float:
        """Wait until an alert fires, or no longer does; return how many seconds that took."""
        began_s = time.monotonic()

        async def is_so() -> bool:
            is_firing = await self.is_firing(expected)
            assert is_firing == fires, f"{expected} {'fires' if is_firing else 'does not fire'}"
            return True

        await eventually(is_so, within_s=within_s, interval_s=LOOK_INTERVAL_S)
        return time.monotonic() - began_s


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watch(prometheus: Prometheus) -> AsyncIterator[Watch]:
    """Looks at Prometheus, which asks every process."""
    names = {process.metrics_address: process.name for process in prometheus.processes}
    async with open_api(prometheus, processes=len(names)) as api:
        yield Watch(api, names)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    system: System, settings: AllSettings, small_video: Path, spool_disk: Path
) -> AsyncIterator[Stage]:
    """A small load for as long as the tests of this file run."""
    async with steady_load(
        system.base_url, small_video, people=PEOPLE, calls_per_s=CALLS_PER_S
    ) as load:
        yield Stage(system, settings, load, spool_disk)


async def play(stage: Stage, watch: Watch, cause: Cause) -> None:
    """Let a cause be there until each of its alerts fires, and wait until each has ended."""
    for expected in cause.fires:
        await watch.wait(expected, fires=False, within_s=CLEARS_WITHIN_S)
    async with cause.begin(stage):
        fired = [watch.wait(it, fires=True, within_s=FIRES_WITHIN_S) for it in cause.fires]
        fired_after_s = await asyncio.gather(*fired)
    cleared = [watch.wait(it, fires=False, within_s=CLEARS_WITHIN_S) for it in cause.fires]
    cleared_after_s = await asyncio.gather(*cleared)
    for expected, fired_s, cleared_s in zip(
        cause.fires, fired_after_s, cleared_after_s, strict=True
    ):
        told = f"fired after {fired_s:5.1f} s, ended {cleared_s:5.1f} s after its cause"
        print(f"  {expected.alert:19s} {dict(expected.labels)}: {told}")


@pytest.mark.parametrize("scene", SCENES)
async def test_each_alert_fires_while_its_cause_is_there_and_ends_after_it(
    stage: Stage, watch: Watch, scene: str
) -> None:
    print()
    async with asyncio.TaskGroup() as group:
        for name in SCENES[scene]:
            group.create_task(play(stage, watch, CAUSES[name]))
    stage.load.check_alive()


async def test_every_cause_is_played() -> None:
    assert sorted(name for names in SCENES.values() for name in names) == sorted(CAUSES)
