"""What a viewer has to do with others: whom they follow, what they like.

The newest of Redis' registers and the row wins. Any number of targets takes one round trip to Redis and one statement for each kind;
viewers who ask at the same moment share the statement.

With a watch (dal/redis/changes.py) everything that a viewer likes and follows is kept in memory until an action of theirs is announced:
then no flag costs a statement. Who likes or follows very much is asked about as above.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dal.db.engine import Database
from dal.db.register_rows import list_rows, map_newest, map_targets
from dal.redis.changes import ChangeWatch, Subject
from dal.redis.overlay import Overlay
from dal.registers.model import Action, Kind, newest_by_target
from pkg.batching import Batcher
from pkg.kept import Kept

# Of one kind; who has more is not kept.
MOST_TARGETS = 2000
# Of all viewers together, about 80 bytes each.
MOST_KEPT = 300_000
KEPT_S = 30.0

RowKey = tuple[Kind, int, int]  # kind, viewer, target
# By kind; a kind of which the viewer has too many is missing.
Targets = Mapping[Kind, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Flags:
    """Whom the viewer follows and what they like: of the targets that were asked about, and maybe more."""

    followed: frozenset[int] = frozenset()
    favorited: frozenset[int] = frozenset()


class ViewerFlags:
    """Reads the flags of one viewer at a time; an anonymous viewer (None) has none.

    With a `watch`, whoever reads has let it look before.
    """

    def __init__(
        self, database: Database, overlay: Overlay, watch: ChangeWatch | None = None
    ) -> None:
        self._database = database
        self._overlay = overlay
        self._rows = Batcher(self._load_rows)
        self._kept: Kept[int, Targets] | None = None
        if watch is not None:
            self._kept = Kept(
                self._load_targets, lifetime_s=KEPT_S, most=MOST_KEPT, weigh=_count_targets
            )
            watch.tell(Subject.VIEWER, self._kept.forget, forget_all=self._kept.forget_all)

    async def read(
        self,
        viewer_id: int | None,
        *,
        user_ids: Collection[int] = (),
        video_ids: Collection[int] = (),
    ) -> Flags:
        """Return which users the viewer follows (never oneself) and which videos the viewer likes."""
        if viewer_id is None or (not video_ids and _is_nobody_else(viewer_id, user_ids)):
            return Flags()
        wanted = {Kind.RELATION: user_ids, Kind.FAVORITE: video_ids}
        active: dict[Kind, frozenset[int]] = {}
        if self._kept is not None:
            active.update((await self._kept.get((viewer_id,)))[viewer_id])
        unknown = {kind: ids for kind, ids in wanted.items() if ids and kind not in active}
        if unknown:
            active.update(await self._ask(viewer_id, unknown))
        return Flags(
            followed=active.get(Kind.RELATION, frozenset()),
            favorited=active.get(Kind.FAVORITE, frozenset()),
        )

    async def list_followed(
        self, viewer_id: int | None, user_ids: Collection[int]
    ) -> frozenset[int]:
        """Return those of `user_ids` whom the viewer follows; never the viewer."""
        followed = (await self.read(viewer_id, user_ids=user_ids)).followed
        return frozenset(followed.intersection(user_ids))

    async def _ask(
        self, viewer_id: int, wanted: Mapping[Kind, Collection[int]]
    ) -> dict[Kind, frozenset[int]]:
        sorted_ids = {kind: sorted(set(ids)) for kind, ids in wanted.items()}
        if Kind.RELATION in sorted_ids:
            sorted_ids[Kind.RELATION] = sorted(set(wanted[Kind.RELATION]) - {viewer_id})
        return await self._find_active(
            viewer_id, {kind: ids for kind, ids in sorted_ids.items() if ids}
        )

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

    async def _load_targets(self, viewer_ids: set[int]) -> Mapping[int, Targets]:
        # Redis before the rows, and the rows of the source: what is no longer pending is in them.
        pending = await self._overlay.find_pending(list(viewer_ids))
        if pending is None and self._kept is not None:
            # What is missing must not be kept.
            self._kept.forget_all()
        async with self._database.read_source() as connection:
            targets = await map_targets(connection, viewer_ids, most=MOST_TARGETS)
            newest = await map_newest(connection, pending or {})
        found: dict[int, dict[Kind, frozenset[int]]] = {viewer_id: {} for viewer_id in viewer_ids}
        for (kind, viewer_id), ids in targets.items():
            for action in newest.get((kind, viewer_id), ()):
                (ids.add if action.active else ids.discard)(action.target_id)
            found[viewer_id][kind] = frozenset(ids - {viewer_id} if kind is Kind.RELATION else ids)
        return found


def _is_nobody_else(viewer_id: int, user_ids: Collection[int]) -> bool:
    return not user_ids or (len(user_ids) == 1 and viewer_id in user_ids)


def _count_targets(targets: Targets) -> int:
    return 1 + sum(len(ids) for ids in targets.values())
