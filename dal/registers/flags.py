"""What a viewer has to do with others: whom they follow, what they like.

The newest of Redis' registers and the row wins. Any number of targets takes one round trip to Redis and one statement for each kind;
viewers who ask at the same moment share the statement.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dal.db.engine import Database
from dal.db.register_rows import list_rows
from dal.redis.overlay import Overlay
from dal.registers.model import Action, Kind, newest_by_target
from pkg.batching import Batcher

RowKey = tuple[Kind, int, int]  # kind, viewer, target


@dataclass(frozen=True, slots=True)
class Flags:
    """Which of the targets that were asked about the viewer follows and likes."""

    followed: frozenset[int] = frozenset()
    favorited: frozenset[int] = frozenset()


class ViewerFlags:
    """Reads the flags of one viewer at a time; an anonymous viewer (None) has none."""

    def __init__(self, database: Database, overlay: Overlay) -> None:
        self._database = database
        self._overlay = overlay
        self._rows = Batcher(self._load_rows)

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
        """Return those of `user_ids` whom the viewer follows; never the viewer."""
        return (await self.read(viewer_id, user_ids=user_ids)).followed

    async def _find_active(
        self, viewer_id: int, targets: Mapping[Kind, list[int]]
    ) -> dict[Kind, frozenset[int]]:
        if not targets:
            return {}
        # Redis before the rows: what is flushed in between is found in one of them.
        registers = await self._overlay.map_registers(viewer_id, targets)
        keys = [(kind, viewer_id, target) for kind, ids in targets.items() for target in ids]
        rows = await self._rows.get(keys)
        found = {}
        for kind, ids in targets.items():
            held = [rows[key] for target in ids if (key := (kind, viewer_id, target)) in rows]
            newest = newest_by_target([*held, *registers.get(kind, {}).values()])
            found[kind] = frozenset(target for target, action in newest.items() if action.active)
        return found

    async def _load_rows(self, keys: set[RowKey]) -> dict[RowKey, Action]:
        rows: dict[RowKey, Action] = {}
        async with self._database.read() as connection:
            for kind in Kind:
                pairs = [(user_id, target) for of, user_id, target in keys if of is kind]
                if pairs:
                    for row in await list_rows(connection, kind, pairs):
                        rows[kind, *row.pair] = row
        return rows
