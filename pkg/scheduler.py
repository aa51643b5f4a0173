"""Timed jobs: APScheduler, wrapped once.

APScheduler plans on the wall clock. So that a clock which is set does no harm, the next run is always planned from now (a step forward is
one late run, not a thousand), and a step back, after which a job would wait until the clock is where it was, plans every job again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import cast

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from loguru import logger

from pkg.endurance import Endurance
from pkg.metrics import JOB_FAILURES
from pkg.stopping import wait_for_stop

Job = Callable[[], Awaitable[None]]

CLOCK_CHECK_INTERVAL_S = 1.0
STEP_BACK_S = 0.5


class _Every(BaseTrigger):  # type: ignore[misc]
    """Fires `interval` after the run before it began."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def get_next_fire_time(
        self,
        previous_fire_time: datetime | None,  # noqa: ARG002 - the interface of a trigger
        now: datetime,
    ) -> datetime:
        """Return when to run next."""
        return now + self._interval


class Scheduler:
    """Runs jobs at fixed intervals, one run of each at a time; `run` keeps it going."""

    def __init__(self) -> None:
        # Runs that were missed while one was busy become one run, however late it is.
        defaults = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        self._scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=defaults)
        self._running: set[asyncio.Task[object]] = set()
        self._endurances: dict[str, Endurance] = {}
        self._awaited: list[tuple[asyncio.Event, Job, str]] = []

    def every(self, interval_s: float, job: Job, name: str) -> None:
        """Run `job` every `interval_s` seconds, or as often as it can when it takes longer.

        An exception is logged with its traceback, once a minute at most, and ends that run, not the job.
        """
        self._endure(name)
        trigger = _Every(timedelta(seconds=interval_s))
        self._scheduler.add_job(self._run_once, trigger, args=(job, name), id=name, name=name)

    def whenever(self, event: asyncio.Event, job: Job, name: str) -> None:
        """Run `job` whenever `event` is set, and clear it before; what is set during a run becomes one more run.

        An exception is logged as that of a timed job is.
        """
        self._endure(name)
        self._awaited.append((event, job, name))

    def _endure(self, name: str) -> None:
        self._endurances.setdefault(name, Endurance(name, failure="job failed"))

    async def run(self, stop: asyncio.Event) -> None:
        """Run the jobs until `stop` is set, then let those that are running finish."""
        self._scheduler.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                for event, job, name in self._awaited:
                    tasks.create_task(self._run_whenever(event, job, name, stop))
                await self._watch_clock(stop)
                self._scheduler.pause()
                for event, _job, _name in self._awaited:
                    event.set()  # It sees that we stop.
                # Shutting down cancels what runs: a flush between its commit and its settling, say.
                while self._running:
                    await asyncio.wait(self._running)
        finally:
            self._scheduler.shutdown()

    async def _watch_clock(self, stop: asyncio.Event) -> None:
        """Plan every job again when the wall clock went back, until `stop` is set."""
        offset_s = time.time() - time.monotonic()
        while not stop.is_set():
            await wait_for_stop(stop, CLOCK_CHECK_INTERVAL_S)
            previous_s, offset_s = offset_s, time.time() - time.monotonic()
            if offset_s < previous_s - STEP_BACK_S:
                logger.bind(seconds=round(previous_s - offset_s, 1)).warning("clock went back")
                for job in self._scheduler.get_jobs():
                    job.reschedule(job.trigger)

    async def _run_whenever(
        self, event: asyncio.Event, job: Job, name: str, stop: asyncio.Event
    ) -> None:
        while True:
            await event.wait()
            if stop.is_set():
                return
            event.clear()
            await self._run_once(job, name)

    async def _run_once(self, job: Job, name: str) -> None:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._running.add(task)
        try:
            if not await self._endurances[name].survive(job):
                JOB_FAILURES.labels(job=name).inc()
        finally:
            self._running.discard(task)
