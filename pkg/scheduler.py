"""Timed jobs: APScheduler, wrapped once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from pkg.endurance import Endurance
from pkg.metrics import JOB_FAILURES

Job = Callable[[], Awaitable[None]]


class Scheduler:
    """Runs jobs at fixed intervals, one run of each at a time; `run` keeps it going."""

    def __init__(self) -> None:
        # It warns of every run that is skipped because the one before still goes on, which is meant to be.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        # Runs that were missed while one was busy become one run, however late it is.
        defaults = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        self._scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=defaults)
        self._running: set[asyncio.Task[object]] = set()
        self._endurances: dict[str, Endurance] = {}

    def every(self, interval_s: float, job: Job, name: str) -> None:
        """Run `job` every `interval_s` seconds, or as often as it can when it takes longer.

        An exception is logged with its traceback, once a minute at most, and ends that run, not the job.
        """
        self._endurances[name] = Endurance(name, failure="job failed")
        trigger = IntervalTrigger(seconds=interval_s, timezone="UTC")
        self._scheduler.add_job(self._run_once, trigger, args=(job, name), id=name, name=name)

    async def run(self, stop: asyncio.Event) -> None:
        """Run the jobs until `stop` is set, then let those that are running finish."""
        self._scheduler.start()
        try:
            await stop.wait()
            self._scheduler.pause()
            # Shutting down cancels what runs: a flush between its commit and its settling, say.
            while self._running:
                await asyncio.wait(self._running)
        finally:
            self._scheduler.shutdown()

    async def _run_once(self, job: Job, name: str) -> None:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._running.add(task)
        try:
            if not await self._endurances[name].survive(job):
                JOB_FAILURES.labels(job=name).inc()
        finally:
            self._running.discard(task)
