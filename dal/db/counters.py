"""Compares every counter with the rows that it counts, in one snapshot, and fixes the wrong ones."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.absorption import lock_guard
from dal.db.engine import Database
from dal.registers.model import Kind


@dataclass(frozen=True, slots=True)
class Counter:
    """A column that must equal a number of rows; `rows` gives the ids that they count for."""

    table: str
    column: str
    rows: str

    @property
    def name(self) -> str:
        """As an operator knows it."""
        return f"{self.table}.{self.column}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is wrong."""

    counter: str
    id: int
    stored: int
    counted: int


COUNTERS = (
    Counter(
        "videos", "favorite_count", "SELECT video_id AS id FROM user_favorite_videos WHERE active"
    ),
    Counter(
        "users", "favorite_count", "SELECT user_id AS id FROM user_favorite_videos WHERE active"
    ),
    Counter(
        "users",
        "total_favorited",
        "SELECT author_id AS id FROM user_favorite_videos AS likes"
        " JOIN videos ON videos.id = likes.video_id WHERE likes.active",
    ),
    Counter("users", "following_count", "SELECT user_id AS id FROM relations WHERE active"),
    Counter("users", "follower_count", "SELECT to_user_id AS id FROM relations WHERE active"),
    Counter(
        "users",
        "work_count",
        "SELECT author_id AS id FROM videos WHERE published_at_ms IS NOT NULL",
    ),
    Counter(
        "videos", "comment_count", "SELECT video_id AS id FROM comments WHERE deleted_at IS NULL"
    ),
    Counter("comments", "like_count", "SELECT comment_id AS id FROM user_favorite_comments"),
)


async def list_differences(database: Database) -> list[Difference]:
    """Return every counter that does not equal its rows.

    One statement sees one snapshot: what is written while it runs makes no difference.
    """
    parts = [_select_differences(counter) for counter in COUNTERS]
    async with database.read_source() as connection:
        rows = await connection.execute(text(" UNION ALL ".join(parts)))
        return [Difference(*row) for row in rows]


async def sample_differences(database: Database, *, size: int) -> list[Difference]:
    """Return the counters that do not equal their rows among a few neighbours of each table, at most `size`, chosen at random."""
    async with database.read_source() as connection:
        samples = {
            table: await _choose_sample(connection, table, size)
            for table in sorted({counter.table for counter in COUNTERS})
        }
        parts = [
            _select_differences(counter, sample)
            for counter in COUNTERS
            if (sample := samples[counter.table]) is not None
        ]
        rows = await connection.execute(text(" UNION ALL ".join(parts))) if parts else ()
        return [Difference(*row) for row in rows]


async def _choose_sample(connection: AsyncConnection, table: str, size: int) -> range | None:
    """Return the ids of some neighbours; None where the table has no row."""
    newest = await connection.scalar(text(f"SELECT MAX(id) FROM {table}"))  # noqa: S608 - a name of COUNTERS
    if newest is None:
        return None
    begin = random.randint(1, max(1, newest - size + 1))  # noqa: S311 - spreads looks, hides nothing
    neighbours = f"SELECT id FROM {table} WHERE id >= :begin ORDER BY id LIMIT :size"  # noqa: S608 - a name of COUNTERS
    ids = (await connection.scalars(text(neighbours), {"begin": begin, "size": size})).all()
    return range(ids[0], ids[-1] + 1)


async def fix_differences(database: Database, differences: Sequence[Difference]) -> int:
    """Set these counters to what their rows say now; return how many rows changed.

    The guard rows keep flushes out until the commit. Every other writer of a counter locks the counter's row first, and so does this.
    """
    changed = 0
    async with database.write() as connection:
        for kind in Kind:
            await lock_guard(connection, kind)
        for counter in COUNTERS:
            ids = sorted({item.id for item in differences if item.counter == counter.name})
            for row_id in ids:
                changed += await _fix(connection, counter, row_id)
    return changed


async def _fix(connection: AsyncConnection, counter: Counter, row_id: int) -> int:
    lock = f"SELECT id FROM {counter.table} WHERE id = :id FOR UPDATE"  # noqa: S608 - names of COUNTERS
    await connection.execute(text(lock), {"id": row_id})
    count = f"SELECT COUNT(*) FROM ({counter.rows}) AS counted WHERE counted.id = :id"  # noqa: S608 - names of COUNTERS
    counted = (await connection.execute(text(count), {"id": row_id})).scalar_one()
    update = f"UPDATE {counter.table} SET {counter.column} = :counted WHERE id = :id"  # noqa: S608 - names of COUNTERS
    result = await connection.execute(text(update), {"id": row_id, "counted": counted})
    return result.rowcount


def _select_differences(counter: Counter, sample: range | None = None) -> str:
    """Return what finds the wrong ones of all rows, or of those whose ids are in the sample."""
    held, entries = (
        ("TRUE", "TRUE")
        if sample is None
        else (f"{name}.id BETWEEN {sample[0]} AND {sample[-1]}" for name in ("held", "entries"))
    )
    return f"""
        SELECT '{counter.name}', held.id, held.{counter.column}, COALESCE(counted.number, 0)
        FROM {counter.table} AS held
        LEFT JOIN (
            SELECT id, COUNT(*) AS number FROM ({counter.rows}) AS entries WHERE {entries} GROUP BY id
        ) AS counted ON counted.id = held.id
        WHERE held.{counter.column} <> COALESCE(counted.number, 0) AND {held}
    """  # noqa: S608 - names of COUNTERS and numbers of ours
