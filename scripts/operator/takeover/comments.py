"""Comments and the likes of comments."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table

from dal.db.models import Comment, FavoriteComment
from dal.db.takeover.original import COMMENT_LIKES_BY_PAIR, COMMENTS_BY_ID
from dal.db.takeover.target import Rows, table_of
from scripts.operator.takeover.findings import Findings, Kind
from scripts.operator.takeover.step import Step, is_usable
from scripts.operator.takeover.texts import keep_text
from scripts.operator.takeover.times import to_column

MAX_COMMENT_CHARS = 255


class Comments(Step):
    """`comments`; deleted ones keep their rows."""

    name = "comments"
    query = COMMENTS_BY_ID

    async def convert(self, rows: Sequence[Any], findings: Findings) -> Mapping[Table, Rows]:
        comments = [self._convert(row, findings) for row in rows if self._is_wanted(row, findings)]
        self.taken.comments.update(
            (comment["id"], comment["deleted_at"] is None) for comment in comments
        )
        return {table_of(Comment): comments}

    def _is_wanted(self, row: Any, findings: Findings) -> bool:
        what = f"comment {row.id}"
        if not is_usable(row.id, findings, what):
            return False
        if row.user_id not in self.taken.users:
            findings.add(Kind.COMMENT_WITHOUT_AUTHOR, f"{what} of {row.user_id}")
            return False
        if row.video_id not in self.taken.videos:
            findings.add(Kind.COMMENT_WITHOUT_VIDEO, f"{what} on {row.video_id}")
            return False
        return True

    def _convert(self, row: Any, findings: Findings) -> dict[str, Any]:
        what = f"comment {row.id}"
        created_ms = self.clock.read(row.created_at, findings, what)
        return {
            "id": row.id,
            "content": keep_text(row.content, findings, what, max_chars=MAX_COMMENT_CHARS),
            "video_id": row.video_id,
            "user_id": row.user_id,
            "created_at": to_column(created_ms),
            "deleted_at": self.clock.find_deletion(row.deleted_at),
        }


class CommentLikes(Step):
    """`user_favorite_comments`."""

    name = "comment likes"
    query = COMMENT_LIKES_BY_PAIR

    async def convert(self, rows: Sequence[Any], findings: Findings) -> Mapping[Table, Rows]:
        likes = []
        for row in rows:
            what = f"comment {row.comment_id} by {row.user_id}"
            pair = [row.user_id, row.comment_id]
            if row.user_id not in self.taken.users or not self.taken.comments.get(row.comment_id):
                findings.add(Kind.COMMENT_LIKE_WITHOUT_TARGET, what)
            elif pair == self.state.get("last"):
                findings.add(Kind.COMMENT_LIKE_REPEATED, what)
            else:
                likes.append({"user_id": row.user_id, "comment_id": row.comment_id})
            self.state["last"] = pair
        return {table_of(FavoriteComment): likes}
