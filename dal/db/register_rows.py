"""Reads of `user_favorite_videos` and `relations`, the registers' rows; the flush alone writes them (absorption.py).

Every list is in the order of the last action, newest first, which is the order of an index. Versions are unique, so a version also says
where the next page begins.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, TextClause, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute, aliased

from dal.db.models import FavoriteVideo, Relation
from dal.registers.model import Action, ActionType, Kind, newest_by_target


@dataclass(frozen=True)
class _Columns:
    user_id: InstrumentedAttribute[int]
    target_id: InstrumentedAttribute[int]
    active: InstrumentedAttribute[bool]
    version: InstrumentedAttribute[int]


COLUMNS = {
    Kind.FAVORITE: _Columns(
        FavoriteVideo.user_id,
        FavoriteVideo.video_id,
        FavoriteVideo.active,
        FavoriteVideo.acted_at_us,
    ),
    Kind.RELATION: _Columns(
        Relation.user_id, Relation.to_user_id, Relation.active, Relation.acted_at_us
    ),
}


# Else a server may read, of a page far down, all rows above it.
INDEX_OF_LIST = {
    Kind.FAVORITE: "FORCE INDEX (ix_favorite_videos_list)",
    Kind.RELATION: "FORCE INDEX (ix_relations_following)",
}
INDEX_OF_FOLLOWERS = "FORCE INDEX (ix_relations_followers)"


def _rows_of_pairs(table: str, target: str) -> TextClause:
    # All pairs travel as one JSON parameter and are joined in its order: each pair is one look-up in a unique index.
    return text(f"""
        SELECT held.user_id, held.{target}, held.acted_at_us, held.active
        FROM JSON_TABLE(:pairs, '$[*]' COLUMNS (
            user_id BIGINT UNSIGNED PATH '$[0]', target_id BIGINT UNSIGNED PATH '$[1]'
        )) AS wanted
        STRAIGHT_JOIN {table} AS held
          ON held.user_id = wanted.user_id AND held.{target} = wanted.target_id
    """)  # noqa: S608 - names of this module, no values


ROWS_OF_PAIRS = {
    Kind.FAVORITE: _rows_of_pairs("user_favorite_videos", "video_id"),
    Kind.RELATION: _rows_of_pairs("relations", "to_user_id"),
}


def _targets_of(kind: Kind, table: str, target: str, counter: str) -> str:
    # The counter says beforehand who has too many. JSON_ARRAYAGG, unlike GROUP_CONCAT, cuts nothing off without a word.
    return f"""
        SELECT wanted.user_id, '{kind}' AS kind, JSON_ARRAYAGG(held.{target}) AS targets
        FROM JSON_TABLE(:users, '$[*]' COLUMNS (user_id BIGINT UNSIGNED PATH '$')) AS wanted
        STRAIGHT_JOIN users ON users.id = wanted.user_id AND users.{counter} <= :most
        LEFT JOIN {table} AS held ON held.user_id = users.id AND held.active = 1
        GROUP BY wanted.user_id
    """  # noqa: S608 - names of this module, no values


TARGETS_OF_USERS = text(
    _targets_of(Kind.FAVORITE, "user_favorite_videos", "video_id", "favorite_count")
    + " UNION ALL "
    + _targets_of(Kind.RELATION, "relations", "to_user_id", "following_count")
)


async def map_targets(
    connection: AsyncConnection, user_ids: Collection[int], *, most: int
) -> dict[tuple[Kind, int], set[int]]:
    """Return everything that some users like and follow, by kind and user; who has more than `most` of a kind is left out of it."""
    values = {"users": orjson.dumps(list(user_ids)).decode(), "most": most}
    rows = await connection.execute(TARGETS_OF_USERS, values)
    # Who has nothing has a NULL.
    return {
        (Kind(kind), user_id): set(orjson.loads(targets)) - {None}
        for user_id, kind, targets in rows
    }


async def list_rows(
    connection: AsyncConnection, kind: Kind, pairs: Collection[tuple[int, int]]
) -> list[Action]:
    """Return what the rows of some pairs (user, target) say, undone actions included, in no order."""
    if not pairs:
        return []
    wanted = orjson.dumps([list(pair) for pair in pairs]).decode()
    return _to_actions(await connection.execute(ROWS_OF_PAIRS[kind], {"pairs": wanted}))


async def list_newest(
    connection: AsyncConnection, kind: Kind, actions: Sequence[Action]
) -> list[Action]:
    """Return the newer of action and row for each of `actions`, all of one user."""
    rows = await list_rows(connection, kind, [action.pair for action in actions])
    return list(newest_by_target([*actions, *rows]).values())


async def map_newest(
    connection: AsyncConnection, actions: Mapping[tuple[Kind, int], Sequence[Action]]
) -> dict[tuple[Kind, int], list[Action]]:
    """Do what `list_newest` does for many users, by kind and user."""
    newest: dict[tuple[Kind, int], list[Action]] = {}
    for kind in Kind:
        of_kind = {key: pending for key, pending in actions.items() if key[0] is kind}
        pairs = [action.pair for pending in of_kind.values() for action in pending]
        rows: dict[int, list[Action]] = defaultdict(list)
        for row in await list_rows(connection, kind, pairs):
            rows[row.user_id].append(row)
        for key, pending in of_kind.items():
            newest[key] = list(newest_by_target([*pending, *rows[key[1]]]).values())
    return newest


async def list_active(
    connection: AsyncConnection, kind: Kind, *, user_id: int, before: int, limit: int
) -> list[Action]:
    """Return the videos that a user likes, or the users whom a user follows."""
    columns = COLUMNS[kind]
    statement = _select(columns).where(columns.user_id == user_id, _is_active(columns.active))
    statement = statement.with_hint(columns.version.class_, INDEX_OF_LIST[kind])
    return await _fetch(connection, _page(statement, columns.version, before, limit))


async def list_followers(
    connection: AsyncConnection, *, user_id: int, before: int, limit: int
) -> list[Action]:
    """Return the actions of those who follow a user."""
    columns = COLUMNS[Kind.RELATION]
    statement = _select(columns).where(columns.target_id == user_id, _is_active(columns.active))
    statement = statement.with_hint(Relation, INDEX_OF_FOLLOWERS)
    return await _fetch(connection, _page(statement, columns.version, before, limit))


async def list_friends(
    connection: AsyncConnection, *, user_id: int, before: int, limit: int
) -> list[Action]:
    """Return a user's own follows of those who follow back."""
    columns = COLUMNS[Kind.RELATION]
    back = aliased(Relation)
    statement = (
        _select(columns)
        .join(
            back,
            (back.user_id == Relation.to_user_id)
            & (back.to_user_id == Relation.user_id)
            & _is_active(back.active),
        )
        .where(Relation.user_id == user_id, _is_active(Relation.active))
    )
    return await _fetch(connection, _page(statement, columns.version, before, limit))


async def list_followers_among(
    connection: AsyncConnection, *, user_id: int, candidates: Collection[int]
) -> set[int]:
    """Return those of `candidates` who follow a user."""
    statement = select(Relation.user_id).where(
        Relation.user_id.in_(list(candidates)),
        Relation.to_user_id == user_id,
        _is_active(Relation.active),
    )
    return set(await connection.scalars(statement))


def _is_active(active: InstrumentedAttribute[bool]) -> ColumnElement[bool]:
    # `IS true`, which SQLAlchemy's is_ says, is a calculation to MariaDB and MySQL: they would read and sort all rows of a user.
    return active == true()


def _select(columns: _Columns) -> Select[int, int, int, bool]:
    return select(columns.user_id, columns.target_id, columns.version, columns.active)


def _page(
    statement: Select[int, int, int, bool],
    version: InstrumentedAttribute[int],
    before: int,
    limit: int,
) -> Select[int, int, int, bool]:
    return statement.where(version < before).order_by(version.desc()).limit(limit)


async def _fetch(
    connection: AsyncConnection, statement: Select[int, int, int, bool]
) -> list[Action]:
    return _to_actions(await connection.execute(statement))


def _to_actions(rows: Iterable[Any]) -> list[Action]:
    return [
        Action(user_id, target_id, version, ActionType.DO if active else ActionType.UNDO)
        for user_id, target_id, version, active in rows
    ]
