"""The steps of a takeover, in their order: for a run, which may be killed and go on, and for a dry run, which writes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.engine import Database
from dal.db.takeover.original import (
    COMMENTS_BY_ID,
    USER_COUNTERS,
    USERS_BY_ID,
    VIDEOS_BY_ID,
    OriginalDatabase,
)
from dal.db.takeover.progress import StepProgress, move_step
from dal.db.takeover.target import (
    finish_conversations,
    finish_publication_clock,
    list_md5_passwords,
    replace_passwords,
    reserve_ids,
)
from pkg.crypt.passwords import wrap_md5
from pkg.ids import MAX_ID
from scripts.operator.takeover.findings import Findings, Kind
from scripts.operator.takeover.sinks import Sink
from scripts.operator.takeover.step import Step, table_name
from scripts.progress_bar import ProgressBar

COUNTERS: tuple[tuple[Select[Any], tuple[str, ...]], ...] = (
    (USERS_BY_ID, USER_COUNTERS),
    (VIDEOS_BY_ID, ("favorite_count", "comment_count")),
    (COMMENTS_BY_ID, ("like_count",)),
)
ROWS_PER_COMPARISON = 2_000
PASSWORDS_PER_BATCH = 100
# By name, as they are stored.
FINISHING: dict[str, Callable[[AsyncConnection], Awaitable[None]]] = {
    "conversations": finish_conversations,
    "publication clock": finish_publication_clock,
}


@dataclass(frozen=True)
class Measures:
    """The tables of the original that are there, with what `OriginalDatabase.measure` tells of each."""

    by_table: dict[str, list[str]]

    def count(self, table: str) -> int:
        """Return the number of rows; of a table that is missing, 0."""
        return int(self.by_table[table][0]) if table in self.by_table else 0

    def greatest_id(self, table: str) -> int:
        """Return the greatest usable id, 0 where there is none."""
        greatest = self.by_table[table][1]
        return int(greatest) if greatest.isdigit() and int(greatest) <= MAX_ID else 0


async def take_rows(
    original: OriginalDatabase, sink: Sink, steps: Sequence[Step], measures: Measures
) -> None:
    """Run the steps that are not done yet, one after the other; each goes on behind the last row that was written."""
    for step in steps:
        progress = await sink.begin(step.name)
        total = measures.count(step.source)
        with ProgressBar(step.name, total=total, done=progress.rows_read) as bar:
            if not progress.is_done:
                await _take(original, sink, step, progress=progress, total=total, bar=bar)


async def _take(
    original: OriginalDatabase,
    sink: Sink,
    step: Step,
    *,
    progress: StepProgress,
    total: int,
    bar: ProgressBar,
) -> None:
    if progress.rows_read:
        step.state = progress.state
    if total:
        reading = original.read_rows(step.query, skip=progress.rows_read, limit=step.rows_per_batch)
        async with aclosing(reading):
            async for rows in reading:
                findings = Findings()
                converted = await step.convert(rows, findings)
                progress.state = step.state
                await sink.write(progress, converted, findings, rows_read=len(rows))
                bar.move(len(rows))
    progress.is_done = True
    await sink.write(progress, {}, Findings(), rows_read=0)


async def take_counters(original: OriginalDatabase, sink: Sink, measures: Measures) -> None:
    """Set every counter to its rows, and find those that were wrong in the original."""
    progress = await sink.begin("counters")
    if progress.is_done:
        return
    findings = Findings()
    total = sum(measures.count(table) for table in ("users", "videos", "comments"))
    with ProgressBar("counters", total=total) as bar:
        await sink.count(progress)
        for query, columns in COUNTERS:
            await _compare_counters(original, sink, query, columns=columns, findings=findings)
            bar.move(measures.count(table_name(query)))
    progress.is_done = True
    await sink.write(progress, {}, findings, rows_read=total)


async def _compare_counters(
    original: OriginalDatabase,
    sink: Sink,
    query: Select[Any],
    *,
    columns: Sequence[str],
    findings: Findings,
) -> None:
    table = table_name(query)
    async with aclosing(original.read_rows(query, skip=0, limit=ROWS_PER_COMPARISON)) as reading:
        async for rows in reading:
            counted = await sink.map_counters(table, columns, [row.id for row in rows])
            for row in rows:
                # What was left out has no counters.
                if row.id in counted:
                    numbers = dict(zip(columns, counted[row.id], strict=True))
                    _compare(row, numbers, findings, table=table)


def _compare(row: Any, counted: Mapping[str, int], findings: Findings, *, table: str) -> None:
    for column, number in counted.items():
        stored = getattr(row, column)
        if stored != number:
            what = f"{table}.{column} of {row.id}: {stored}, counted {number}"
            findings.add(Kind.COUNTER_WRONG, what)


async def finish(database: Database, sink: Sink, measures: Measures) -> None:
    """Compute what depends on all rows, one transaction each, and let new ids begin above the original's."""
    greatest = {table: measures.greatest_id(table) for table in measures.by_table}
    statements = FINISHING | {"ids": partial(reserve_ids, above=greatest)}
    for name, statement in statements.items():
        progress = await sink.begin(name)
        if not progress.is_done:
            progress.is_done = True
            async with database.write() as connection:
                await statement(connection)
                await move_step(connection, progress, rows_before=0)


async def wrap_passwords(
    database: Database, sink: Sink, measures: Measures, threads: ThreadPoolExecutor
) -> None:
    """Hash every MD5 with argon2id, so that what is stored cannot be guessed as fast as an MD5.

    Until it is done, those that are left are verified all the same: accounts can log in.
    """
    progress = await sink.begin("passwords")
    if progress.is_done:
        return
    loop = asyncio.get_running_loop()
    total = measures.count("users")
    with ProgressBar("passwords", total=total, done=progress.rows_read) as bar:
        while True:
            async with database.read_source() as connection:
                found = await list_md5_passwords(
                    connection,
                    after_id=progress.state.get("after_id", 0),
                    limit=PASSWORDS_PER_BATCH,
                )
            if not found:
                break
            hashes = await asyncio.gather(
                *(loop.run_in_executor(threads, wrap_md5, digest) for _, digest in found)
            )
            before = progress.rows_read
            progress.rows_read += len(found)
            progress.state = {"after_id": found[-1][0]}
            async with database.write() as connection:
                replacing = [
                    (user_id, digest, stronger)
                    for (user_id, digest), stronger in zip(found, hashes, strict=True)
                ]
                await replace_passwords(connection, replacing)
                await move_step(connection, progress, rows_before=before)
            bar.move(len(found))
    progress.is_done = True
    await sink.write(progress, {}, Findings(), rows_read=0)
