"""All rows as they were at one moment, for a backup, and putting them into an empty database.

Whoever calls gives a database whose deadline fits a whole table; see `with_long_statements`.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import column, delete, exists, func, insert, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.engine import Database
from dal.db.migrations.journal import JOURNAL
from dal.db.models import (
    FavoriteVideo,
    FlushGuard,
    PublicationClock,
    Relation,
    ReplicationTerm,
    User,
    Video,
    VideoStatus,
)
from dal.db.schema_version import VERSION_TABLE

ROWS_PER_BATCH = 1000
# They say how far the schema is and which server is the source, which the database that receives the rows knows by itself.
OF_THE_SCHEMA = frozenset({VERSION_TABLE, JOURNAL.name, ReplicationTerm.__tablename__})
# A migration puts their rows in: a database that has these alone is empty.
FILLED_BY_MIGRATIONS = frozenset({FlushGuard.__tablename__, PublicationClock.__tablename__})

Row = Sequence[Any]


@asynccontextmanager
async def open_snapshot(database: Database) -> AsyncIterator[AsyncConnection]:
    """Give a connection to the source all of whose reads see the rows of this moment, whatever is written meanwhile."""
    async with database.read_source() as connection:
        await connection.execute(text("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        await connection.execute(text("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"))
        try:
            yield connection
        finally:
            await connection.execute(text("ROLLBACK"))


async def list_tables(connection: AsyncConnection) -> list[str]:
    """Return the tables whose rows are worth a backup, by name."""
    found = await connection.scalars(text("SHOW TABLES"))
    return sorted(set(found) - OF_THE_SCHEMA)


async def read_rows(
    connection: AsyncConnection, name: str
) -> tuple[list[str], AsyncIterator[Sequence[Row]]]:
    """Return the names of a table's columns, and its rows in batches, which are read while they are asked for."""
    result = await connection.stream(select(text("*")).select_from(table(name)))
    return list(result.keys()), result.partitions(ROWS_PER_BATCH)


async def list_published_objects(connection: AsyncConnection) -> list[tuple[str, str]]:
    """Return the keys of each published video and its cover."""
    published = Video.status == VideoStatus.PUBLISHED
    rows = await connection.execute(select(Video.play_url, Video.cover_url).where(published))
    return [(play, cover) for play, cover in rows]


async def list_pictures(connection: AsyncConnection) -> tuple[list[str], list[str]]:
    """Return the keys of all avatars, and of all background pictures."""
    avatars = await connection.scalars(select(User.avatar).distinct())
    backgrounds = await connection.scalars(select(User.background_image).distinct())
    return list(avatars), list(backgrounds)


async def list_uploads_in_work(connection: AsyncConnection) -> list[str]:
    """Return the keys of uploads that have arrived and are not published yet."""
    waiting = Video.status == VideoStatus.PROCESSING
    return list(await connection.scalars(select(Video.upload_key).where(waiting)))


async def find_newest_action(connection: AsyncConnection) -> int:
    """Return the greatest version in the registers; 0 where there is none."""
    found = [
        await connection.scalar(select(func.max(register.acted_at_us)))
        for register in (FavoriteVideo, Relation)
    ]
    return max(version or 0 for version in found)


async def find_filled_table(connection: AsyncConnection) -> str | None:
    """Return the name of a table that holds rows of people; None where the database is empty."""
    for name in await list_tables(connection):
        if name not in FILLED_BY_MIGRATIONS and await connection.scalar(
            select(exists(select(text("1")).select_from(table(name))))
        ):
            return name
    return None


async def load_rows(
    connection: AsyncConnection, name: str, columns: Sequence[str], batches: Iterable[Sequence[Row]]
) -> int:
    """Put rows into a table of a database that was empty, in place of those of a migration; return how many."""
    target = table(name, *(column(each) for each in columns))
    await connection.execute(delete(target))
    count = 0
    for batch in batches:
        rows = [dict(zip(columns, row, strict=True)) for row in batch]
        await connection.execute(insert(target), rows)
        count += len(rows)
    return count
