"""pkg.scheduler: what a timed job can rely on."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, tzinfo
from typing import Self

import apscheduler.schedulers.asyncio
import apscheduler.schedulers.base
import pytest
from loguru import logger

from pkg import scheduler as scheduling
from pkg.scheduler import Job, Scheduler
from tests.eventually import eventually


@asynccontextmanager
async def running(interval_s: float, job: Job) -> AsyncIterator[asyncio.Event]:
    scheduler = Scheduler()
    scheduler.every(interval_s, job, "test job")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(scheduler.run(stop))
        try:
            yield stop
        finally:
            stop.set()


async def test_a_job_runs_again_and_again():
    runs: list[int] = []

    async def job() -> None:
        runs.append(1)

    async with running(0.01, job):
        await eventually(lambda: len(runs) >= 3)


async def test_runs_of_one_job_never_overlap_and_missed_ones_are_not_made_up_for():
    active, most, runs = 0, 0, 0

    async def job() -> None:
        nonlocal active, most, runs
        active += 1
        runs += 1
        most = max(most, active)
        await asyncio.sleep(0.1)  # Longer than the interval.
        active -= 1

    began = time.monotonic()
    async with running(0.01, job):
        await eventually(lambda: runs >= 3)

    assert most == 1
    assert time.monotonic() - began >= 0.2


async def test_a_job_that_fails_is_logged_with_its_traceback_and_runs_again():
    runs = 0
    lines: list[str] = []
    sink = logger.add(lines.append, level="ERROR")

    async def job() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError("the first run fails")

    async with running(0.01, job):
        await eventually(lambda: runs >= 3)
    logger.remove(sink)

    assert len(lines) == 1
    assert "job failed" in lines[0]
    assert "ValueError: the first run fails" in lines[0]
    assert "Traceback" in lines[0]


async def test_stopping_waits_for_the_run_in_progress_and_starts_no_other():
    events: list[str] = []
    may_end = asyncio.Event()

    async def job() -> None:
        events.append("begin")
        await may_end.wait()
        events.append("end")

    async with running(0.01, job) as stop:
        await eventually(lambda: events)
        stop.set()
        asyncio.get_running_loop().call_later(0.2, may_end.set)
    assert events == ["begin", "end"]
    with pytest.raises(AssertionError, match="not within"):
        await eventually(lambda: len(events) > 2, within_s=0.05)


async def test_what_an_event_asks_for_runs_at_once_and_once_more_when_asked_meanwhile():
    runs = 0
    wanted, may_end = asyncio.Event(), asyncio.Event()

    async def job() -> None:
        nonlocal runs
        runs += 1
        await may_end.wait()

    scheduler, stop = Scheduler(), asyncio.Event()
    scheduler.whenever(wanted, job, "test job")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(scheduler.run(stop))
        wanted.set()
        await eventually(lambda: runs == 1)
        for _ in range(3):
            wanted.set()
            await asyncio.sleep(0)
        may_end.set()
        await eventually(lambda: runs == 2 and not wanted.is_set())
        stop.set()
    assert runs == 2


class ShiftedClock(datetime):
    """The wall clock of APScheduler, set to another time."""

    shift = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + cls.shift


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    monkeypatch.setattr(scheduling, "CLOCK_CHECK_INTERVAL_S", 0.05)
    for module in (apscheduler.schedulers.base, apscheduler.schedulers.asyncio):
        if hasattr(module, "datetime"):
            monkeypatch.setattr(module, "datetime", ShiftedClock)
    monkeypatch.setattr(ShiftedClock, "shift", timedelta())
    real = time.time

    def shift(by: timedelta) -> None:
        monkeypatch.setattr(ShiftedClock, "shift", by)
        monkeypatch.setattr(time, "time", lambda: real() + by.total_seconds())

    return shift


@pytest.mark.parametrize("by", [timedelta(seconds=-5), timedelta(hours=-1)], ids=str)
async def test_jobs_go_on_when_the_clock_goes_back(set_clock, by: timedelta):
    runs: list[int] = []

    async def job() -> None:
        runs.append(1)

    async with running(0.01, job):
        await eventually(lambda: runs)
        set_clock(by)
        runs.clear()

        await eventually(lambda: len(runs) >= 3, within_s=3)


async def test_a_clock_that_jumps_by_years_makes_one_run_and_not_a_billion(set_clock):
    runs: list[int] = []

    async def job() -> None:
        runs.append(1)

    async with running(0.3, job):
        await eventually(lambda: runs)
        began = time.monotonic()
        runs.clear()
        set_clock(timedelta(days=365 * 50))

        await eventually(lambda: runs)

    assert time.monotonic() - began < 5
