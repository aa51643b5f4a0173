"""What a viewer has to do with others: whom they follow, what they like.

The newest of Redis' registers and the row wins. However many targets there are, it takes one round trip to Redis and one
statement for each kind.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dal.db.action_rows import find_rows
from dal.db.engine import Database
from dal.redis.overlay import Overlay
from dal.registers import Kind, newest_by_target


@dataclass(frozen=True, slots=True)
class Flags:
    """Which of the targets that were asked about the viewer follows and likes."""

    followed: frozenset[int] = frozenset()
    favorited: frozenset[int] = frozenset()


class ViewerFlags:
    """Reads the flags of one viewer at a time; an anonymous viewer (None) has none.

    Without an overlay, what a viewer did a moment ago shows once it is flushed.
    """

    def __init__(self, database: Database, overlay: Overlay | None = None) -> None:
        self._database = database
        self._overlay = overlay

    async def read(
        self,
        viewer_id: int | None,
        *,
        user_ids: Collection[int] = (),
        video_ids: Collection[int] = (),
    ) -> Flags:
        """Return which users the viewer follows (never oneself) and which videos the viewer likes."""
        if viewer_id is None:
            return Flags()
        targets = {
            Kind.RELATION: sorted(set(user_ids) - {viewer_id}),
            Kind.FAVORITE: sorted(set(video_ids)),
        }
        active = await self._find_active(
            viewer_id, {kind: ids for kind, ids in targets.items() if ids}
        )
        return Flags(
            followed=active.get(Kind.RELATION, frozenset()),
            favorited=active.get(Kind.FAVORITE, frozenset()),
        )

    async def list_followed(
        self, viewer_id: int | None, user_ids: Collection[int]
    ) -> frozenset[int]:
        """Return those of `user_ids` whom the viewer follows; nobody follows oneself."""
        return (await self.read(viewer_id, user_ids=user_ids)).followed

    async def list_favorited(
        self, viewer_id: int | None, video_ids: Collection[int]
    ) -> frozenset[int]:
        """Return those of `video_ids` that the viewer likes."""
        return (await self.read(viewer_id, video_ids=video_ids)).favorited

    async def _find_active(
        self, viewer_id: int, targets: Mapping[Kind, list[int]]
    ) -> dict[Kind, frozenset[int]]:
        if not targets:
            return {}
        registers = await self._overlay.find_registers(viewer_id, targets) if self._overlay else {}
        found = {}
        async with self._database.read() as connection:
            for kind, ids in targets.items():
                rows = await find_rows(connection, kind, user_id=viewer_id, targets=ids)
                newest = newest_by_target([*rows, *registers.get(kind, {}).values()])
                found[kind] = frozenset(
                    target for target, action in newest.items() if action.active
                )
        return found
