"""Flushing: pending actions go into MySQL's rows and counters."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from loguru import logger

from dal.db.absorption import Flip, UnabsorbableActions, absorb_actions
from dal.db.engine import Database
from dal.redis.changes import Change, ChangeLog, Subject
from dal.redis.pending import PENDING_PER_PARTITION, FlushLock, PendingActions
from dal.registers.model import Action, Kind
from pkg.errors import DeadlineExceeded, DependencyUnavailable
from pkg.metrics import observe
from pkg.mq.connection import RabbitMQSettings
from pkg.mq.depth import measure_queues
from pkg.rpc.server import ServiceSettings
from pkg.scheduler import Scheduler
from pkg.settings import Count, Seconds
from pkg.tracing import Span, begin_batch
from services.actions.load import ActionLoad
from services.actions.metrics import (
    ASIDE,
    DEAD_LETTERS,
    EFFECT_SECONDS,
    FLUSH_SECONDS,
    FLUSHED,
    OLDEST_PENDING,
    PENDING,
    QUEUED,
)

# Ends a run that could go on indefinitely under load, so that stopping need not wait long.
MAX_BATCHES_PER_RUN = 20
BACKLOG_INTERVAL_S = 2.0
QUEUES_INTERVAL_S = 15.0
SLOW_RUN_S = 1.0
OLD_PENDING_S = 10.0


class FlushingServiceSettings(ServiceSettings):
    """The sections `favorite` and `relation`: what every service has, and when this one flushes."""

    flush_interval_s: Seconds
    """How often Redis' pending actions are written to MySQL, at least; while little happens, each is written at once."""
    flush_batch_actions: Count
    """How many actions one transaction writes, at most."""
    effect_wait_s: Seconds
    """How long the reply of an action waits, at most, until everybody sees its effect; under load it does not wait."""


class Flusher:
    """Brings the pending actions of one kind to MySQL. One run at a time is enough; more at once do no harm.

    `woken` is set when a run is wanted before the timer's next one.
    """

    def __init__(
        self,
        database: Database,
        pending: PendingActions,
        changes: ChangeLog,
        *,
        batch_size: int,
        load: ActionLoad | None = None,
    ) -> None:
        self._database = database
        self._changes = changes
        self._pending = pending
        self._batch_size = batch_size
        self._kind = pending.kind
        self._is_waiting = False
        self._load = load or ActionLoad()
        self._turn = asyncio.Lock()
        self.woken = asyncio.Event()

    def wake(self) -> None:
        """Ask for a flush now, because something became pending; in a crowd the timer's next one is soon enough."""
        if self._load.is_quiet and not self._is_waiting:
            self.woken.set()

    async def run(self) -> None:
        """Flush; while MySQL or Redis is down, log it once and leave everything pending. The timed job."""
        async with self._turn:
            await self._run()

    async def _run(self) -> None:
        try:
            self._load.add_flushed(await self.flush())
        except (DependencyUnavailable, DeadlineExceeded) as exc:
            if not self._is_waiting:
                facts = {"kind": self._kind.value, "error": str(exc), "cause": repr(exc.__cause__)}
                logger.bind(**facts).warning("flush waits for a server")
            self._is_waiting = True
            return
        if self._is_waiting:
            logger.bind(kind=self._kind.value).info("flush goes on")
        self._is_waiting = False

    async def flush(self) -> int:
        """Flush until little is pending, unless another process does; return how many actions MySQL absorbed.

        Raises:
            DependencyUnavailable, DeadlineExceeded: a server is down; what MySQL did not absorb is still pending.
        """
        began = time.perf_counter()
        with begin_batch(f"flush {self._kind.value}") as span:
            async with self._pending.lock_flush() as lock:
                flushed = await self._flush_batches(lock, span) if lock is not None else 0
        seconds = time.perf_counter() - began
        if flushed:
            FLUSH_SECONDS.labels(kind=self._kind.value).observe(seconds)
            facts = {"kind": self._kind.value, "flushed": flushed, "seconds": round(seconds, 3)}
            level = "INFO" if seconds > SLOW_RUN_S else "DEBUG"
            logger.bind(**facts).log(level, "flush finished")
        return flushed

    async def _flush_batches(self, lock: FlushLock, span: Span) -> int:
        flushed = 0
        for _ in range(MAX_BATCHES_PER_RUN):
            oldest = await self._pending.list_oldest(self._batch_size)
            absorbed = await self._absorb(oldest) if oldest else []
            for traceparent in await self._pending.traces.take([it.version for it in absorbed]):
                span.link(traceparent)
            await self._pending.settle(absorbed)
            FLUSHED.labels(kind=self._kind.value).inc(len(absorbed))
            flushed += len(absorbed)
            await self._tell_effects(absorbed)
            if len(oldest) < min(self._batch_size, PENDING_PER_PARTITION):
                break  # No partition held more: what came since then can wait for the next run.
            if not await lock.extend():
                logger.bind(kind=self._kind.value).warning("flush lock lost")
                break
        return flushed

    async def _tell_effects(self, absorbed: Sequence[Action]) -> None:
        """Tell the metrics how long it took until everybody saw these actions."""
        if absorbed:
            now_us = await self._pending.read_clock_us()
            for action in absorbed:
                age_s = max(0, now_us - action.version) / 1_000_000
                observe(EFFECT_SECONDS, age_s, self._kind.value)

    async def _absorb(self, actions: Sequence[Action]) -> list[Action]:
        """Return what MySQL absorbed. What it refuses is found by halving the batch, and set aside."""
        try:
            flips = await absorb_actions(self._database, self._kind, actions)
        except UnabsorbableActions as exc:
            if len(actions) == 1:
                await self._set_aside(actions[0], str(exc))
                return []
        else:
            # Before anything is settled: then replies that wait for their effect go out.
            await self._changes.announce(_list_changes(self._kind, flips))
            return list(actions)
        middle = len(actions) // 2
        return await self._absorb(actions[:middle]) + await self._absorb(actions[middle:])

    async def _set_aside(self, action: Action, reason: str) -> None:
        await self._pending.set_aside(action, reason)
        facts = {"user_id": action.user_id, "target_id": action.target_id, "reason": reason}
        logger.bind(kind=self._kind.value, **facts).error("action set aside")


def _list_changes(kind: Kind, flips: Sequence[Flip]) -> Iterator[Change]:
    """Yield whose counters have changed."""
    target = Subject.VIDEO if kind is Kind.FAVORITE else Subject.USER
    for flip in flips:
        yield Subject.USER, flip.user_id
        yield target, flip.target_id
        if flip.owner_id is not None:
            yield Subject.USER, flip.owner_id


class BacklogGauges:
    """Tells the metrics, and the log where it matters, how far MySQL is behind; two timed jobs."""

    def __init__(self, pending: PendingActions, rabbitmq: RabbitMQSettings) -> None:
        self._pending = pending
        self._rabbitmq = rabbitmq
        self._kind = pending.kind.value

    async def measure_pending(self) -> None:
        """Measure Redis."""
        try:
            backlog = await self._pending.measure()
        except DependencyUnavailable:
            return  # The flush has logged it already.
        age_s = backlog.oldest_age_s
        PENDING.labels(kind=self._kind).set(backlog.pending)
        OLDEST_PENDING.labels(kind=self._kind).set(age_s)
        ASIDE.labels(kind=self._kind).set(backlog.aside)
        if age_s > OLD_PENDING_S:
            facts = {"pending": backlog.pending, "oldest_s": round(age_s), "aside": backlog.aside}
            logger.bind(kind=self._kind, **facts).warning("pending actions grow old")

    async def measure_queues(self) -> None:
        """Measure the queue and that of its dead letters."""
        try:
            depth = (await measure_queues(self._rabbitmq, [self._kind]))[self._kind]
        except DependencyUnavailable:
            return  # The publisher has logged it already.
        if depth is None:
            return  # The consumer makes them as it connects.
        QUEUED.labels(kind=self._kind).set(depth.waiting)
        DEAD_LETTERS.labels(kind=self._kind).set(depth.dead)


def make_scheduler(
    flusher: Flusher, gauges: BacklogGauges, settings: FlushingServiceSettings
) -> Scheduler:
    """Return the scheduler that flushes, and tells how far behind MySQL is."""
    scheduler = Scheduler()
    scheduler.every(settings.flush_interval_s, flusher.run, "flush")
    scheduler.whenever(flusher.woken, flusher.run, "flush")
    scheduler.every(BACKLOG_INTERVAL_S, gauges.measure_pending, "measure pending actions")
    scheduler.every(QUEUES_INTERVAL_S, gauges.measure_queues, "measure queues")
    return scheduler
