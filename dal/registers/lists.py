"""Lists of what a user likes, whom they follow, who follows them, and who their friends are.

Newest action first. Users see in their own lists what they did even before it is flushed: Redis is asked first and the source
second, so that an action which is no longer pending is found in its row.
"""

from collections.abc import Iterable

from dal.db.engine import Database
from dal.db.register_rows import (
    list_active,
    list_followers,
    list_followers_among,
    list_friends,
    list_newest,
    list_rows,
)
from dal.redis.overlay import Overlay
from dal.registers.model import Action, Kind, newest_by_target
from pkg.paging import Page, PageRequest, make_page


class RegisterLists:
    """Reads the lists, in pages of ids; the sort key is the version of the last action."""

    def __init__(self, database: Database, overlay: Overlay) -> None:
        self._database = database
        self._overlay = overlay

    async def list_targets(
        self, kind: Kind, user_id: int, wanted: PageRequest, *, viewer_id: int | None
    ) -> Page[int]:
        """Return the videos that a user likes, or the users whom a user follows."""
        if viewer_id != user_id:
            async with self._database.read() as connection:
                rows = await list_active(
                    connection,
                    kind,
                    user_id=user_id,
                    before=wanted.before,
                    limit=wanted.fetch_limit,
                )
            return _to_page(rows, wanted).map(_target_id)
        pending = await self._overlay.list_pending(kind, user_id)
        async with self._database.read_source() as connection:
            rows = await list_active(
                connection,
                kind,
                user_id=user_id,
                before=wanted.before,
                # Each pending action may take one of these rows away.
                limit=wanted.fetch_limit + len(pending),
            )
            newest = await list_newest(connection, kind, pending)
        return _to_page(merge_pending(rows, newest, before=wanted.before), wanted).map(_target_id)

    async def list_followers(self, user_id: int, wanted: PageRequest) -> Page[int]:
        """Return the users who follow a user."""
        async with self._database.read() as connection:
            rows = await list_followers(
                connection, user_id=user_id, before=wanted.before, limit=wanted.fetch_limit
            )
        return _to_page(rows, wanted).map(lambda action: action.user_id)

    async def list_friends(self, user_id: int, wanted: PageRequest) -> Page[int]:
        """Return the users who follow a user and are followed back, as this user sees it."""
        pending = await self._overlay.list_pending(Kind.RELATION, user_id)
        async with self._database.read_source() as connection:
            rows = await list_friends(
                connection,
                user_id=user_id,
                before=wanted.before,
                limit=wanted.fetch_limit + len(pending),
            )
            newest = await list_newest(connection, Kind.RELATION, pending)
            followers = await list_followers_among(
                connection, user_id=user_id, candidates=[action.target_id for action in newest]
            )
        friends = [
            action for action in newest if not action.active or action.target_id in followers
        ]
        return _to_page(merge_pending(rows, friends, before=wanted.before), wanted).map(_target_id)

    async def are_friends(self, user_id: int, other_id: int) -> bool:
        """Return whether two users follow each other, actions that are not flushed yet included."""
        return await self._all_follow((user_id, other_id), (other_id, user_id))

    async def follows(self, user_id: int, other_id: int) -> bool:
        """Return whether a user follows another, actions that are not flushed yet included."""
        return await self._all_follow((user_id, other_id))

    async def _all_follow(self, *pairs: tuple[int, int]) -> bool:
        # Redis before the rows: what is flushed in between is found in one of them.
        pending = [await self._find_follow(*pair) for pair in pairs]
        async with self._database.read_source() as connection:
            rows = {row.pair: row for row in await list_rows(connection, Kind.RELATION, pairs)}
        for pair, register in zip(pairs, pending, strict=True):
            known = [action for action in (register, rows.get(pair)) if action is not None]
            if not known or not max(known, key=lambda action: action.version).active:
                return False
        return True

    async def _find_follow(self, user_id: int, target_id: int) -> Action | None:
        registers = await self._overlay.map_registers(user_id, {Kind.RELATION: [target_id]})
        return registers.get(Kind.RELATION, {}).get(target_id)


def merge_pending(rows: Iterable[Action], newest: Iterable[Action], *, before: int) -> list[Action]:
    """Return the active ones of `rows`, in which `newest` replaces the rows of its targets, newest first."""
    replacing = newest_by_target(newest)
    kept = [row for row in rows if row.target_id not in replacing]
    added = [action for action in replacing.values() if action.active and action.version < before]
    return sorted([*kept, *added], key=lambda action: action.version, reverse=True)


def _to_page(actions: list[Action], wanted: PageRequest) -> Page[Action]:
    return make_page(actions, wanted, key=lambda action: action.version)


def _target_id(action: Action) -> int:
    return action.target_id
