"""One takeover: what must be true before it begins, what stays the same when it goes on, and who does what."""

import os
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

from dal.db.engine import Database
from dal.db.takeover.original import VIDEOS_BY_ID, OriginalDatabase
from dal.db.takeover.progress import (
    BEGIN,
    StepProgress,
    begin_step,
    create_progress,
    find_table_in_use,
    list_progress,
)
from pkg.clock import now_ms
from pkg.crypt.messages import CryptSettings, DataKey, OriginalKey
from scripts.operator.takeover import report
from scripts.operator.takeover.accounts import Accounts, Names
from scripts.operator.takeover.actions import Follows, Likes
from scripts.operator.takeover.comments import CommentLikes, Comments
from scripts.operator.takeover.messages import MessageReader, Messages
from scripts.operator.takeover.objects import MediaFiles, Objects, ReadOnly
from scripts.operator.takeover.running import (
    Measures,
    finish,
    take_counters,
    take_rows,
    wrap_passwords,
)
from scripts.operator.takeover.settings import OriginalSettings
from scripts.operator.takeover.sinks import DatabaseSink, DrySink, Sink
from scripts.operator.takeover.step import Step, Taken
from scripts.operator.takeover.times import Clock, find_offset
from scripts.operator.takeover.videos import Videos
from services.message_texts import MessageTexts

AES_BYTES = 32
SAMPLED_VIDEOS = 1_000


class Refused(Exception):
    """The takeover cannot begin or go on; the text says what the operator does."""


class Takeover:
    """From the original's database into ours."""

    def __init__(
        self,
        original: OriginalDatabase,
        database: Database,
        *,
        settings: OriginalSettings,
        crypt: CryptSettings,
        objects: Objects | None,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._original = original
        self._database = database
        self._settings = settings
        self._crypt = crypt
        self._objects = objects
        self._threads = threads
        self._reader = MessageReader(
            OriginalKey(settings.message_key) if settings.message_key else None, threads
        )

    async def try_out(self) -> None:
        """Write nothing, and print what a run would find and do.

        Raises:
            NotTheOriginal, Refused: a run would not begin.
        """
        begin, _ = await self._prepare()
        taken = Taken()
        objects = ReadOnly(self._objects) if self._objects else None
        key = DataKey(1, os.urandom(AES_BYTES))
        steps = self._make_steps(begin, taken, Names(), objects=objects, data_key=key)
        sink = DrySink(taken)
        await self._take(steps, sink, begin)
        report.show(sink.progress, steps)
        print("dry run: nothing was written")

    async def run(self) -> None:
        """Begin, or go on where an earlier run ended, and print what was done by all of them.

        Raises:
            NotTheOriginal, Refused: nothing was changed.
            AnotherTakeover: one is under way.
        """
        begin, progress = await self._prepare()
        if BEGIN not in progress:
            await self._begin(begin)
        progress.setdefault(BEGIN, StepProgress(BEGIN, state=begin))
        if self._objects:
            await self._objects.prepare()
        sink = DatabaseSink(self._database, progress)
        taken, names = Taken(), Names()
        await sink.restore(taken, names)
        data_key = await MessageTexts(self._database, self._crypt).get_newest_key()
        steps = self._make_steps(begin, taken, names, objects=self._objects, data_key=data_key)
        await self._take(steps, sink, begin)
        measures = Measures(begin["measures"])
        await finish(self._database, sink, measures)
        await wrap_passwords(self._database, sink, measures, self._threads)
        report.show(sink.progress, steps)
        print("done: start the services")

    async def _prepare(self) -> tuple[dict[str, Any], dict[str, StepProgress]]:
        """Return what this takeover begins with, or began with, and how far it is."""
        there = await self._original.require_tables()
        begin: dict[str, Any] = {
            "measures": await self._original.measure(there),
            "time_zone": self._settings.time_zone,
            "objects": self._settings.objects,
            "now_ms": now_ms(),
            "seed": secrets.token_hex(),
        }
        async with self._database.read_source() as connection:
            progress = await list_progress(connection)
            in_use = None if BEGIN in progress else await find_table_in_use(connection)
        if in_use is not None:
            raise Refused(
                f"the target database is in use: there are rows in {in_use}; make an empty one and run scripts/migrate"
            )
        if BEGIN in progress:
            _require_same(progress[BEGIN].state, begin)
            return progress[BEGIN].state, progress
        await self._require_zone(begin["now_ms"])
        return begin, progress

    async def _require_zone(self, time_ms: int) -> None:
        """Compare times with those in keys, which have no zone."""
        sample = VIDEOS_BY_ID.limit(SAMPLED_VIDEOS)
        async with self._original.read_source() as connection:
            rows = (await connection.execute(sample)).all()
        clock = Clock(ZoneInfo(self._settings.time_zone), now_ms=time_ms)
        offset = find_offset([(row.created_at, row.play_url) for row in rows], clock)
        if offset is not None:
            hours = offset.total_seconds() / 3600
            raise Refused(
                f"time_zone: as times of {self._settings.time_zone}, those of most videos are {hours:+.2f} h off the times in"
                " their keys; name the zone of the original's host, such as Asia/Shanghai"
            )

    async def _begin(self, begin: dict[str, Any]) -> None:
        async with self._database.write() as connection:
            await create_progress(connection)
            await begin_step(connection, StepProgress(BEGIN, state=begin))

    async def _take(self, steps: Sequence[Step], sink: Sink, begin: dict[str, Any]) -> None:
        measures = Measures(begin["measures"])
        await take_rows(self._original, sink, steps, measures)
        await take_counters(self._original, sink, measures)

    def _make_steps(
        self,
        begin: dict[str, Any],
        taken: Taken,
        names: Names,
        *,
        objects: Objects | None,
        data_key: DataKey,
    ) -> list[Step]:
        clock = Clock(ZoneInfo(begin["time_zone"]), now_ms=begin["now_ms"])
        files = MediaFiles(objects, seed=begin["seed"])
        return [
            Accounts(taken, clock, names=names, files=files),
            Videos(taken, clock, files=files),
            Comments(taken, clock),
            CommentLikes(taken, clock),
            Likes(taken, clock),
            Follows(taken, clock),
            Messages(taken, clock, reader=self._reader, data_key=data_key),
        ]


def _require_same(began: dict[str, Any], now: dict[str, Any]) -> None:
    """Check that a takeover goes on with what it began with."""
    for name in ("time_zone", "objects"):
        if began[name] != now[name]:
            raise Refused(f"this takeover was begun with {name}: {began[name]}, not {now[name]}")
    if began["measures"] != now["measures"]:
        changed = [
            t for t, measure in now["measures"].items() if began["measures"].get(t) != measure
        ]
        raise Refused(
            f"the original has changed since this takeover began ({', '.join(changed)}): stop its processes, make an empty"
            " database, run scripts/migrate and begin anew"
        )
