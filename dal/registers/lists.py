"""Lists of what somebody likes, whom they follow, who follows them, and who their friends are.

Newest action first. Whoever looks at their own list sees what they did even before it is flushed: Redis is asked first and the
source second, so that an action which is not pending any more is in its row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dal.db.engine import Database
from dal.db.register_rows import (
    find_newest,
    find_rows,
    list_active,
    list_followers,
    list_followers_among,
    list_friends,
)
from dal.redis.overlay import Overlay
from dal.registers.model import Action, Kind, newest_by_target


@dataclass(frozen=True, slots=True)
class Page:
    """Some ids of a list, and the version before which the next page begins (None at the end)."""

    ids: list[int]
    next_before: int | None


class ActionLists:
    """Reads the lists; `before` is the version where the previous page ended."""

    def __init__(self, database: Database, overlay: Overlay) -> None:
        self._database = database
        self._overlay = overlay

    async def list_targets(
        self, kind: Kind, user_id: int, *, viewer_id: int | None, before: int, limit: int
    ) -> Page:
        """Return the videos that a user likes, or the users whom a user follows."""
        if viewer_id != user_id:
            async with self._database.read() as connection:
                rows = await list_active(
                    connection, kind, user_id=user_id, before=before, limit=limit + 1
                )
            return _to_page(rows, limit)
        pending = await self._overlay.list_pending(kind, user_id)
        async with self._database.read_source() as connection:
            rows = await list_active(
                connection, kind, user_id=user_id, before=before, limit=limit + 1 + len(pending)
            )
            newest = await find_newest(connection, kind, user_id=user_id, actions=pending)
        return _to_page(merge_pending(rows, newest, before=before), limit)

    async def list_followers(self, user_id: int, *, before: int, limit: int) -> Page:
        """Return the users who follow a user."""
        async with self._database.read() as connection:
            rows = await list_followers(connection, user_id=user_id, before=before, limit=limit + 1)
        return _to_page(rows, limit, follower=True)

    async def list_friends(self, user_id: int, *, before: int, limit: int) -> Page:
        """Return the users who follow a user and are followed back, as this user sees it."""
        pending = await self._overlay.list_pending(Kind.RELATION, user_id)
        async with self._database.read_source() as connection:
            rows = await list_friends(
                connection, user_id=user_id, before=before, limit=limit + 1 + len(pending)
            )
            newest = await find_newest(connection, Kind.RELATION, user_id=user_id, actions=pending)
            followers = await list_followers_among(
                connection, user_id=user_id, candidates=[action.target_id for action in newest]
            )
        friends = [
            action for action in newest if not action.active or action.target_id in followers
        ]
        return _to_page(merge_pending(rows, friends, before=before), limit)

    async def are_friends(self, user_id: int, other_id: int) -> bool:
        """Return whether two users follow each other, actions that are not flushed yet included."""
        pairs = ((user_id, other_id), (other_id, user_id))
        known = [
            (await self._overlay.find_registers(follower, {Kind.RELATION: [followed]})).get(
                Kind.RELATION, {}
            )
            for follower, followed in pairs
        ]
        async with self._database.read_source() as connection:
            for (follower, followed), registers in zip(pairs, known, strict=True):
                rows = await find_rows(
                    connection, Kind.RELATION, user_id=follower, targets=[followed]
                )
                newest = newest_by_target([*rows, *registers.values()])
                if followed not in newest or not newest[followed].active:
                    return False
        return True


def merge_pending(rows: Iterable[Action], newest: Iterable[Action], *, before: int) -> list[Action]:
    """Return the active ones of `rows`, in which `newest` replaces the rows of its targets, newest first."""
    replacing = newest_by_target(newest)
    kept = [row for row in rows if row.target_id not in replacing]
    added = [action for action in replacing.values() if action.active and action.version < before]
    return sorted([*kept, *added], key=lambda action: action.version, reverse=True)


def _to_page(actions: Sequence[Action], limit: int, *, follower: bool = False) -> Page:
    shown = actions[:limit]
    ids = [action.user_id if follower else action.target_id for action in shown]
    return Page(ids, shown[-1].version if len(actions) > limit else None)
