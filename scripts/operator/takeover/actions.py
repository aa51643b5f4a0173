"""Likes and follows become registers, each with a version that is older than any action to come."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table

from dal.db.models import FavoriteVideo, Relation
from dal.db.takeover.original import LIKES_BY_PAIR, RELATIONS_BY_PAIR
from dal.db.takeover.target import Rows, table_of
from scripts.operator.takeover.findings import Findings, Kind
from scripts.operator.takeover.step import Step
from scripts.operator.takeover.times import to_column


class Likes(Step):
    """`user_favorite_videos`, which say no time: a list of likes is in the order in which the videos were published."""

    name = "likes"
    query = LIKES_BY_PAIR

    async def convert(self, rows: Sequence[Any], findings: Findings) -> Mapping[Table, Rows]:
        likes = []
        for row in rows:
            pair = [row.user_id, row.video_id]
            kind = self._find_fault(row, is_repeated=pair == self.state.get("last"))
            self.state["last"] = pair
            if kind is not None:
                findings.add(kind, f"video {row.video_id} by {row.user_id}")
                continue
            published_ms = self.taken.videos[row.video_id][1]
            likes.append(
                {
                    "user_id": row.user_id,
                    "video_id": row.video_id,
                    "active": True,
                    "acted_at_us": published_ms * 1000,
                    "created_at": to_column(published_ms),
                }
            )
        return {table_of(FavoriteVideo): likes}

    def _find_fault(self, row: Any, *, is_repeated: bool) -> Kind | None:
        if row.user_id not in self.taken.users:
            return Kind.LIKE_WITHOUT_USER
        if row.video_id not in self.taken.videos:
            return Kind.LIKE_WITHOUT_VIDEO
        return Kind.LIKE_REPEATED if is_repeated else None


class Follows(Step):
    """`relations`. Those of one millisecond get different microseconds: lists are read in pages by them."""

    name = "follows"
    query = RELATIONS_BY_PAIR

    async def convert(self, rows: Sequence[Any], findings: Findings) -> Mapping[Table, Rows]:
        follows = []
        for row in rows:
            what = f"{row.to_user_id} by {row.user_id}"
            kind = self._find_fault(row)
            self.state["last"] = [row.user_id, row.to_user_id]
            if kind is not None:
                findings.add(kind, what)
                continue
            followed_ms = self.clock.read(row.created_at, findings, what)
            follows.append(
                {
                    "user_id": row.user_id,
                    "to_user_id": row.to_user_id,
                    "active": True,
                    "acted_at_us": self._make_version(followed_ms),
                    "created_at": to_column(followed_ms),
                }
            )
        return {table_of(Relation): follows}

    def _make_version(self, followed_ms: int) -> int:
        earlier = self.taken.follows[followed_ms]
        self.taken.follows[followed_ms] += 1
        # A cursor of 0 is none.
        return followed_ms * 1000 + earlier + (0 if followed_ms else 1)

    def _find_fault(self, row: Any) -> Kind | None:
        if row.user_id not in self.taken.users or row.to_user_id not in self.taken.users:
            return Kind.FOLLOW_WITHOUT_USER
        if row.user_id == row.to_user_id:
            return Kind.FOLLOW_OF_ONESELF
        # Of a pair, rows that hold come first.
        if self.clock.find_deletion(row.deleted_at):
            return Kind.FOLLOW_UNDONE
        is_repeated = [row.user_id, row.to_user_id] == self.state.get("last")
        return Kind.FOLLOW_REPEATED if is_repeated else None
