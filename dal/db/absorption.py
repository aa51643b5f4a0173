"""How a batch of pending likes or follows reaches its rows and counters.

One transaction on the guard row absorbs a batch: it finds the pairs whose state flips, adds the difference to the counters, and
then writes the rows by version. The guard row makes it exact: no other transaction writes these tables, so what was found is still true
when it is written. The batch travels as one JSON parameter. As everywhere, parents' counters change before children's rows, in the order of
their ids.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import orjson
from sqlalchemy import TextClause, select, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.engine import Database
from dal.db.errors import error_number, retry_conflicts
from dal.db.models import FlushGuard
from dal.registers.model import Action, Kind
from pkg.errors import DependencyUnavailable

# No caller waits for a flush, so it may take longer than a call. The deadline frees it from a frozen server.
FLUSH_TIMEOUT_S = 8.0
# Errors of the data that drivers sort among those of the connection: out of range, wrong value, too long, a trigger's
# SIGNAL, a check constraint (MySQL 3819, MariaDB 4025), broken JSON (MySQL 3140 and 3141, MariaDB 4038).
DATA_ERRORS = frozenset({1264, 1292, 1366, 1406, 1644, 1690, 3140, 3141, 3819, 4025, 4038})

INCOMING = """
JSON_TABLE(:batch, '$[*]' COLUMNS (
    user_id BIGINT UNSIGNED PATH '$[0]', target_id BIGINT UNSIGNED PATH '$[1]',
    version BIGINT PATH '$[2]', active TINYINT PATH '$[3]'
)) AS incoming
"""
DELTAS = """
JSON_TABLE(:deltas, '$[*]' COLUMNS (
    id BIGINT UNSIGNED PATH '$[0]', add_first BIGINT PATH '$[1]', add_second BIGINT PATH '$[2]'
)) AS delta
"""

# By id: what to add to the first and to the second counter of a row.
Deltas = dict[int, list[int]]


class UnabsorbableActions(Exception):
    """MySQL refuses something in this batch and would refuse it again; the text says why."""


class Flip(NamedTuple):
    """A pair whose state changes; the owner is the author of the video, if there is one."""

    user_id: int
    target_id: int
    active: int
    owner_id: int | None


@dataclass(frozen=True)
class _Statements:
    """What differs between likes and follows."""

    find_flips: TextClause
    upsert: TextClause
    count: Callable[[Sequence[Flip]], Mapping[TextClause, Deltas]]


async def absorb_actions(
    database: Database, kind: Kind, actions: Sequence[Action]
) -> Sequence[Flip]:
    """Bring rows and counters up to these actions, at most one per pair; return the pairs whose states flipped.

    Safe to repeat, and harmless for actions that are older than what the rows hold.

    Raises:
        UnabsorbableActions: at least one of them can never be written; nothing was.
        DependencyUnavailable, DeadlineExceeded: MySQL is down or too slow; the outcome is unknown.
    """
    try:
        return await retry_conflicts(partial(_absorb, database, kind, actions))
    except (IntegrityError, DataError) as exc:
        raise UnabsorbableActions(_describe(exc)) from exc
    except DependencyUnavailable as exc:
        if isinstance(exc.__cause__, DBAPIError) and error_number(exc.__cause__) in DATA_ERRORS:
            raise UnabsorbableActions(_describe(exc.__cause__)) from exc
        raise


async def _absorb(database: Database, kind: Kind, actions: Sequence[Action]) -> Sequence[Flip]:
    statements = STATEMENTS[kind]
    ordered = sorted(actions, key=lambda action: action.pair)
    rows = [
        [action.user_id, action.target_id, action.version, int(action.active)] for action in ordered
    ]
    batch = orjson.dumps(rows).decode()
    async with database.write(timeout_s=FLUSH_TIMEOUT_S) as connection:
        await lock_guard(connection, kind)
        found = await connection.execute(statements.find_flips, {"batch": batch})
        flips = [Flip(*row) for row in found]
        for statement, deltas in statements.count(flips).items():
            await _add_deltas(connection, statement, deltas)
        await connection.execute(statements.upsert, {"batch": batch})
    return flips


async def lock_guard(connection: AsyncConnection, kind: Kind) -> None:
    """Make this transaction the only one that writes rows and counters of this kind, until it ends."""
    guard = select(FlushGuard.kind).where(FlushGuard.kind == kind.value).with_for_update()
    (await connection.execute(guard)).one()


async def _add_deltas(connection: AsyncConnection, statement: TextClause, deltas: Deltas) -> None:
    changed = [[row_id, *deltas[row_id]] for row_id in sorted(deltas) if any(deltas[row_id])]
    if changed:
        await connection.execute(statement, {"deltas": orjson.dumps(changed).decode()})


def _find_flips(table: str, target: str, owner: str, joins: str = "") -> TextClause:
    """Return user, target, new state and owner of the pairs whose row is older and says otherwise."""
    return text(f"""
        SELECT incoming.user_id, incoming.target_id, incoming.active, {owner}
        FROM {INCOMING}
        LEFT JOIN {table} AS held
          ON held.user_id = incoming.user_id AND held.{target} = incoming.target_id
        {joins}
        WHERE incoming.active <> COALESCE(held.active, 0)
          AND incoming.version > COALESCE(held.acted_at_us, 0)
    """)  # noqa: S608 - names of this module, no values


def _upsert(table: str, target: str) -> TextClause:
    # The incoming row is named as a column of the SELECT: MySQL deprecates VALUES(), and MariaDB does not know `AS new`. `active` is set
    # first, by the version that the row still has.
    return text(f"""
        INSERT INTO {table} (user_id, {target}, active, acted_at_us)
        SELECT incoming.user_id, incoming.target_id, incoming.active, incoming.version
        FROM {INCOMING}
        ON DUPLICATE KEY UPDATE
          active = IF(incoming.version > {table}.acted_at_us, incoming.active, {table}.active),
          acted_at_us = GREATEST(incoming.version, {table}.acted_at_us)
    """)  # noqa: S608 - names of this module, no values


def _add(table: str, first: str, second: str | None = None) -> TextClause:
    # STRAIGHT_JOIN keeps the order of the deltas, and with it the order in which rows are locked.
    assignments = f"counted.{first} = counted.{first} + delta.add_first"
    if second is not None:
        assignments += f", counted.{second} = counted.{second} + delta.add_second"
    return text(f"""
        UPDATE {DELTAS} STRAIGHT_JOIN {table} AS counted ON counted.id = delta.id
        SET {assignments}
    """)  # noqa: S608 - names of this module, no values


ADD_TO_FANS = _add("users", "favorite_count", "total_favorited")
ADD_TO_VIDEOS = _add("videos", "favorite_count")
ADD_TO_FOLLOWERS = _add("users", "following_count", "follower_count")


def _count_favorites(flips: Sequence[Flip]) -> Mapping[TextClause, Deltas]:
    users: Deltas = defaultdict(lambda: [0, 0])
    videos: Deltas = defaultdict(lambda: [0, 0])
    for user_id, video_id, active, author_id in flips:
        step = 1 if active else -1
        users[user_id][0] += step
        videos[video_id][0] += step
        if author_id is not None:
            users[author_id][1] += step
    return {ADD_TO_FANS: users, ADD_TO_VIDEOS: videos}


def _count_relations(flips: Sequence[Flip]) -> Mapping[TextClause, Deltas]:
    users: Deltas = defaultdict(lambda: [0, 0])
    for user_id, to_user_id, active, _owner in flips:
        step = 1 if active else -1
        users[user_id][0] += step
        users[to_user_id][1] += step
    return {ADD_TO_FOLLOWERS: users}


STATEMENTS = {
    Kind.FAVORITE: _Statements(
        find_flips=_find_flips(
            "user_favorite_videos",
            "video_id",
            "videos.author_id",
            "LEFT JOIN videos ON videos.id = incoming.target_id",
        ),
        upsert=_upsert("user_favorite_videos", "video_id"),
        count=_count_favorites,
    ),
    Kind.RELATION: _Statements(
        find_flips=_find_flips("relations", "to_user_id", "NULL"),
        upsert=_upsert("relations", "to_user_id"),
        count=_count_relations,
    ),
}


def _describe(exc: DBAPIError) -> str:
    return str(exc.orig)
