"""The original's database, which is only read: its tables, whether they are all there, and their rows in a total order."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from sqlalchemy import Column, MetaData, Select, Table, func, select, text
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.types import BigInteger, String

from dal.db.engine import Database
from dal.db.errors import translated_errors

TIMES = ("created_at", "updated_at", "deleted_at")
USER_COUNTERS = (
    "following_count",
    "follower_count",
    "work_count",
    "favorite_count",
    "total_favorited",
)
METADATA = MetaData()
# So long a server waits for us to read on, while a batch is being written.
PATIENCE_S = 86_400


class NotTheOriginal(Exception):
    """The database lacks a table or a column of the original; the text says which."""


def _table(
    name: str, *, ids: Sequence[str], texts: Sequence[str] = (), timed: bool = True
) -> Table:
    columns: list[Column[Any]] = [Column(column, BigInteger) for column in ids]
    columns += [Column(column, String) for column in texts]
    columns += [Column(column, DATETIME(fsp=3)) for column in (TIMES if timed else ())]
    return Table(name, METADATA, *columns)


USERS = _table(
    "users",
    ids=("id", *USER_COUNTERS),
    texts=("user_name", "password", "avatar", "background_image", "signature"),
)
VIDEOS = _table(
    "videos",
    ids=("id", "author_id", "favorite_count", "comment_count"),
    texts=("play_url", "cover_url", "title"),
)
COMMENTS = _table(
    "comments",
    ids=("id", "video_id", "user_id", "like_count", "tease_count"),
    texts=("content",),
)
RELATIONS = _table("relations", ids=("id", "user_id", "to_user_id"))
MESSAGES = _table("messages", ids=("id", "from_user_id", "to_user_id"), texts=("content",))
LIKES = _table("user_favorite_videos", ids=("user_id", "video_id"), timed=False)
# Nobody ever wrote to it; some installations have no such table.
COMMENT_LIKES = _table("user_favorite_comments", ids=("user_id", "comment_id"), timed=False)
OPTIONAL = frozenset({COMMENT_LIKES.name})


class OriginalDatabase(Database):
    """The source of a takeover. An account that may only SELECT is enough."""

    async def require_tables(self) -> frozenset[str]:
        """Return the names of the original's tables that are there.

        Raises:
            NotTheOriginal: one that must be there is not, or lacks a column.
        """
        statement = text(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        )
        async with self.read_source() as connection:
            found = {
                (str(table), str(column)) for table, column in await connection.execute(statement)
            }
        there = frozenset(table for table, _ in found)
        for table in METADATA.sorted_tables:
            if table.name not in there and table.name in OPTIONAL:
                continue
            missing = [
                column.name for column in table.columns if (table.name, column.name) not in found
            ]
            if missing:
                raise NotTheOriginal(f"{table.name} has no {', '.join(missing)}")
        return there

    async def measure(self, there: frozenset[str]) -> dict[str, list[str]]:
        """Return for each table how many rows it has and what changes when they do."""
        measures = {}
        async with self.read_source() as connection:
            for table in METADATA.sorted_tables:
                if table.name in there:
                    row = (await connection.execute(_measure(table))).one()
                    # orjson takes no subclass of str.
                    measures[str(table.name)] = [str(value) for value in row]
        return measures

    async def read_rows(
        self, query: Select[Any], *, skip: int, limit: int
    ) -> AsyncGenerator[Sequence[Any]]:
        """Yield all rows of a query but the first `skip`, up to `limit` at a time, as the server sends them.

        The query must have a total order; each fetch has the deadline of a statement.
        """
        # MySQL has no OFFSET without a LIMIT.
        query = query.offset(skip).limit(2**63 - 1)
        async with self._nodes.source.reader.connect() as connection:
            async with translated_errors(self._timeout_s):
                await connection.execute(text(f"SET SESSION net_write_timeout = {PATIENCE_S}"))
                result = await connection.stream(query)
            while True:
                async with translated_errors(self._timeout_s):
                    rows = await result.fetchmany(limit)
                if not rows:
                    return
                yield rows


def _measure(table: Table) -> Select[Any]:
    first = next(iter(table.columns))
    columns = [func.count(), func.max(first)]
    if "updated_at" in table.columns:
        columns += [func.max(table.c.updated_at), func.max(table.c.deleted_at)]
    return select(*columns).select_from(table)


def in_order(table: Table, *order: Any) -> Select[Any]:
    """Return the query of all columns of a table in a total order."""
    return select(*table.columns).order_by(*order)


USERS_BY_ID = in_order(USERS, USERS.c.id)
COMMENTS_BY_ID = in_order(COMMENTS, COMMENTS.c.id)
# The feed's order.
VIDEOS_BY_TIME = in_order(VIDEOS, VIDEOS.c.created_at, VIDEOS.c.id)
VIDEOS_BY_ID = in_order(VIDEOS, VIDEOS.c.id)
LIKES_BY_PAIR = in_order(LIKES, LIKES.c.user_id, LIKES.c.video_id)
COMMENT_LIKES_BY_PAIR = in_order(COMMENT_LIKES, COMMENT_LIKES.c.user_id, COMMENT_LIKES.c.comment_id)
# Of a pair, what holds comes first, and of that the newest.
RELATIONS_BY_PAIR = in_order(
    RELATIONS,
    RELATIONS.c.user_id,
    RELATIONS.c.to_user_id,
    RELATIONS.c.deleted_at.is_not(None),
    RELATIONS.c.created_at.desc(),
    RELATIONS.c.id,
)
# Conversation after conversation, in the order in which the messages were sent.
MESSAGES_BY_CONVERSATION = in_order(
    MESSAGES,
    func.least(MESSAGES.c.from_user_id, MESSAGES.c.to_user_id),
    func.greatest(MESSAGES.c.from_user_id, MESSAGES.c.to_user_id),
    MESSAGES.c.created_at,
    MESSAGES.c.id,
)
