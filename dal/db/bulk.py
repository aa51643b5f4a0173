"""Rows by the thousand: ids reserved in one go, blocks as one JSON parameter each; behind `scripts/seed --users N`.

Nobody knows these rows before they are there, so nothing has to be locked: the parents come first, with the counters that they will have, then
their children.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import func, not_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.models import Base, User, Video

ATTEMPTS = 5


@dataclass(frozen=True)
class BulkTable:
    """A table, the types of the columns that a block brings, and what is the same in all rows or computed from a column."""

    name: str
    columns: Mapping[str, str]
    expressions: Mapping[str, str] = field(default_factory=dict)

    def insert_statement(self) -> str:
        """Return the statement that inserts the block `:rows`."""
        names = [*self.columns, *(name for name in self.expressions if name not in self.columns)]
        values = [self.expressions.get(name, f"incoming.{name}") for name in names]
        paths = [
            f"{name} {kind} PATH '$[{number}]'"
            for number, (name, kind) in enumerate(self.columns.items())
        ]
        return f"""
            INSERT INTO {self.name} ({", ".join(names)}) SELECT {", ".join(values)}
            FROM JSON_TABLE(:rows, '$[*]' COLUMNS ({", ".join(paths)})) AS incoming
        """  # noqa: S608 - names of this module, no values


_ID = "BIGINT UNSIGNED"
_AT = "FROM_UNIXTIME(incoming.created_at / 1000)"

USERS = BulkTable(
    "users",
    {
        "id": _ID,
        "user_name": "VARCHAR(40)",
        "name_look_key": "CHAR(64)",
        "name_capital_key": "CHAR(64)",
        "name_fold_key": "CHAR(64)",
        "password": "VARCHAR(256)",
        "favorite_count": "BIGINT",
        "total_favorited": "BIGINT",
        "following_count": "BIGINT",
        "follower_count": "BIGINT",
        "work_count": "BIGINT",
    },
    {
        name: f"UNHEX(incoming.{name})"
        for name in ("name_look_key", "name_capital_key", "name_fold_key")
    },
)
VIDEOS = BulkTable(
    "videos",
    {
        "id": _ID,
        "author_id": _ID,
        "title": "VARCHAR(50)",
        "play_url": "VARCHAR(255)",
        "cover_url": "VARCHAR(255)",
        "favorite_count": "BIGINT",
        "comment_count": "BIGINT",
        "published_at_ms": "BIGINT",
    },
    {
        "upload_key": "''",
        "status": "'published'",
        "progress_percent": "100",
        "created_at_ms": "incoming.published_at_ms",
    },
)
LIKES = BulkTable(
    "user_favorite_videos",
    {"user_id": _ID, "video_id": _ID, "acted_at_us": "BIGINT"},
    {"active": "1"},
)
FOLLOWS = BulkTable(
    "relations",
    {"user_id": _ID, "to_user_id": _ID, "acted_at_us": "BIGINT"},
    {"active": "1"},
)
COMMENTS = BulkTable(
    "comments",
    {"id": _ID, "video_id": _ID, "user_id": _ID, "content": "VARCHAR(255)", "created_at": "BIGINT"},
    {"created_at": _AT},
)
CONVERSATIONS = BulkTable(
    "conversations",
    {
        "id": _ID,
        "low_user_id": _ID,
        "high_user_id": _ID,
        "last_time_ms": "BIGINT",
        "last_message_id": _ID,
    },
)
MESSAGES = BulkTable(
    "messages",
    {
        "id": _ID,
        "conversation_id": _ID,
        "from_user_id": _ID,
        "to_user_id": _ID,
        "content": "TEXT",
        "data_key_id": _ID,
        "created_at_ms": "BIGINT",
    },
)


async def insert_block(
    connection: AsyncConnection, table: BulkTable, rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows, each in the order of the table's columns, in one statement."""
    statement = text(table.insert_statement())
    await connection.execute(statement, {"rows": orjson.dumps(rows).decode()})


async def reserve_ids(connection: AsyncConnection, table: BulkTable, count: int) -> int:
    """Return the first of `count` consecutive ids that nobody else will get, whoever inserts meanwhile."""
    column = Base.metadata.tables[table.name].c.id
    last = await _find_last_id(connection, column)
    for _ in range(ATTEMPTS):
        reserve = text(f"ALTER TABLE {table.name} AUTO_INCREMENT = {last + count + 1}")
        await connection.execute(reserve)
        # Whoever inserted before that has an id above the one that was read.
        now_last = await _find_last_id(connection, column)
        if now_last == last:
            return last + 1
        last = now_last
    raise RuntimeError(f"{table.name} is written to all the time")


async def count_strangers(
    connection: AsyncConnection, *, pattern: str, known: Sequence[str]
) -> int:
    """Return how many accounts there are whose name neither is known nor looks like `pattern`."""
    statement = select(func.count()).select_from(User)
    return int(
        await connection.scalar(
            statement.where(not_(User.user_name.like(pattern)), User.user_name.not_in(known))
        )
        or 0
    )


async def list_media(connection: AsyncConnection, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the keys of video and cover of what the users of these names have published."""
    statement = select(Video.play_url, Video.cover_url).join(User, User.id == Video.author_id)
    rows = await connection.execute(
        statement.where(User.user_name.in_(names), Video.published_at_ms.is_not(None))
    )
    return sorted((row.play_url, row.cover_url) for row in rows)


async def find_oldest_publication_ms(connection: AsyncConnection) -> int | None:
    """Return when the oldest video was published, or None where there is none."""
    oldest: int | None = await connection.scalar(select(func.min(Video.published_at_ms)))
    return oldest


async def _find_last_id(connection: AsyncConnection, column: Any) -> int:
    return int(await connection.scalar(select(func.coalesce(func.max(column), 0))) or 0)
