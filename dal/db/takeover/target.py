"""Our tables while they are filled: rows in bulk, and what is computed from all of them at the end, one statement each.

What is computed has no index: it stands first in a STRAIGHT_JOIN, and the table's rows are found by their key. Nobody else writes to
them: the services are not running yet. Every statement that finishes something changes nothing when it runs again.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, bindparam, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.counters import COUNTERS, Counter
from dal.db.models import (
    Base,
    Comment,
    PublicationClock,
    Relation,
    User,
    Video,
)

MD5_CHARS = 32
# By table: the ids that are numbered by the server.
NUMBERED = ("users", "videos", "comments", "messages")

Rows = list[dict[str, Any]]


def table_of(model: type[Base]) -> Table:
    """Return the table of a model."""
    return Base.metadata.tables[model.__tablename__]


async def insert_rows(connection: AsyncConnection, rows: Mapping[Table, Rows]) -> None:
    """Insert rows, in a few statements for each table."""
    for table, values in rows.items():
        if values:
            await connection.execute(insert(table), values)


async def list_names(connection: AsyncConnection) -> Sequence[Any]:
    """Return id, name and keys of every account."""
    statement = select(
        User.id, User.user_name, User.name_look_key, User.name_capital_key, User.name_fold_key
    )
    return (await connection.execute(statement)).all()


async def list_videos_taken(connection: AsyncConnection) -> Sequence[Any]:
    """Return id, author and time of publication of every video."""
    return (
        await connection.execute(select(Video.id, Video.author_id, Video.published_at_ms))
    ).all()


async def list_comments_taken(connection: AsyncConnection) -> Sequence[Any]:
    """Return the id of every comment, and whether it can be seen."""
    return (await connection.execute(select(Comment.id, Comment.deleted_at.is_(None)))).all()


async def list_follow_times(connection: AsyncConnection) -> Sequence[Any]:
    """Return each time at which somebody followed somebody, as it is stored, and how many did."""
    statement = select(Relation.created_at, func.count()).group_by(Relation.created_at)
    return (await connection.execute(statement)).all()


async def finish_conversations(connection: AsyncConnection) -> None:
    """Tell every conversation its last time and its last message that was not deleted."""
    await connection.execute(
        text(
            "UPDATE ("
            " SELECT conversation_id, MAX(created_at_ms) AS last_ms,"
            "  MAX(IF(deleted_at IS NULL, created_at_ms, NULL)) AS shown_ms"
            " FROM messages GROUP BY conversation_id"
            ") AS newest STRAIGHT_JOIN conversations ON conversations.id = newest.conversation_id"
            " LEFT JOIN messages AS shown ON shown.conversation_id = conversations.id"
            "  AND shown.created_at_ms = newest.shown_ms"
            " SET conversations.last_time_ms = newest.last_ms, conversations.last_message_id = shown.id"
        )
    )


async def finish_publication_clock(connection: AsyncConnection) -> None:
    """Let the next video be published after all that were taken over."""
    newest = select(func.coalesce(func.max(Video.published_at_ms), 0)).scalar_subquery()
    statement = update(PublicationClock).where(PublicationClock.last_ms < newest)
    await connection.execute(statement.values(last_ms=newest))


async def set_counters(connection: AsyncConnection) -> None:
    """Set every counter to the number of its rows, one statement each."""
    for counter in COUNTERS:
        await connection.execute(text(_set_counter(counter)))


async def map_counters(
    connection: AsyncConnection, table: str, columns: Sequence[str], ids: Collection[int]
) -> dict[int, tuple[int, ...]]:
    """Return the counters of those rows of a table that exist, by id."""
    held = Base.metadata.tables[table]
    statement = select(held.c.id, *(held.c[name] for name in columns)).where(held.c.id.in_(ids))
    return {int(row[0]): tuple(row[1:]) for row in await connection.execute(statement)}


async def reserve_ids(connection: AsyncConnection, above: Mapping[str, int]) -> None:
    """Let new rows get ids above these, so that none of what was left out comes to stand for something else."""
    for table in NUMBERED:
        # A smaller number than the table has is raised to it by the server.
        await connection.execute(
            text(f"ALTER TABLE {table} AUTO_INCREMENT = {int(above.get(table, 0)) + 1}")
        )


async def list_md5_passwords(
    connection: AsyncConnection, *, after_id: int, limit: int
) -> list[tuple[int, str]]:
    """Return id and MD5 of accounts whose password is stored as a bare MD5, by id."""
    statement = select(User.id, User.password).where(
        User.id > after_id, func.char_length(User.password) == MD5_CHARS
    )
    rows = await connection.execute(statement.order_by(User.id).limit(limit))
    return [(int(user_id), str(digest)) for user_id, digest in rows]


async def replace_passwords(
    connection: AsyncConnection, hashes: Sequence[tuple[int, str, str]]
) -> None:
    """Store a stronger hash where the old one still stands; each is id, old, new."""
    table = table_of(User)
    await connection.execute(
        update(table)
        .where(table.c.id == bindparam("user"), table.c.password == bindparam("old"))
        .values(password=bindparam("new"), updated_at=table.c.updated_at),
        [{"user": user, "old": old, "new": new} for user, old, new in hashes],
    )


def _set_counter(counter: Counter) -> str:
    return f"""
        UPDATE {counter.table} AS held LEFT JOIN (
            SELECT id, COUNT(*) AS number FROM ({counter.rows}) AS entries GROUP BY id
        ) AS counted ON counted.id = held.id
        SET held.{counter.column} = COALESCE(counted.number, 0)
        WHERE held.{counter.column} <> COALESCE(counted.number, 0)
    """  # noqa: S608 - names of COUNTERS, no values
