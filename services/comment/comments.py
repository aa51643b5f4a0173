"""Comments on videos and likes of comments: what is written. What is shown is in lists.py."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import product

from dal.db.comments import (
    CommentRow,
    NewComment,
    delete_comment,
    favorite_comment,
    insert_comments,
)
from dal.db.engine import Database, retry_conflicts
from dal.redis.changes import ChangeLog, Subject
from pkg.batching import Batcher
from pkg.clock import now_ms
from pkg.errors import VideoNotFound
from pkg.text import clean_text
from services.comment.lists import CommentLists

MAX_CONTENT_CHARS = 255


class Comments:
    """Adds, deletes and likes comments, and tells everybody who keeps them. Texts are stored as they were written.

    While a transaction adds comments, what others write is collected, and the next one adds all of it.
    """

    def __init__(self, database: Database, changes: ChangeLog, lists: CommentLists) -> None:
        self._database = database
        self._changes = changes
        self._lists = lists
        self._additions = Batcher(self._insert)

    async def add(self, *, video_id: int, user_id: int, text: str) -> bytes:
        """Add a comment and return its card.

        Raises:
            InvalidParameter: the text is empty, too long, or has a control character.
            VideoNotFound: the video is not published.
        """
        content = clean_text(text, label="评论", max_chars=MAX_CONTENT_CHARS)
        # Whole milliseconds, as the column keeps them.
        created_at = datetime.fromtimestamp(now_ms() / 1000, tz=UTC).replace(tzinfo=None)
        comment = NewComment(video_id, user_id, content, created_at)
        row = (await self._additions.get((comment,))).get(comment)
        if row is None:
            raise VideoNotFound
        return await self._lists.make_card(row, viewer_id=user_id)

    async def _insert(self, comments: set[NewComment]) -> Mapping[NewComment, CommentRow]:
        """Add the comments of everybody who waits, and announce them."""
        ordered = sorted(comments, key=lambda comment: comment.created_at)

        async def transaction() -> Mapping[NewComment, CommentRow]:
            async with self._database.write() as connection:
                return await insert_comments(connection, ordered)

        rows = await retry_conflicts(transaction)
        await self._announce({comment.video_id for comment in rows})
        return rows

    async def delete(self, *, comment_id: int, video_id: int, user_id: int) -> None:
        """Delete a comment in the name of its author or of the video's.

        Raises:
            VideoNotFound, CommentNotFound, PermissionDenied: see `delete_comment`.
        """

        async def transaction() -> None:
            async with self._database.write() as connection:
                await delete_comment(
                    connection, comment_id=comment_id, video_id=video_id, user_id=user_id
                )

        await retry_conflicts(transaction)
        await self._announce((video_id,))

    async def favorite(self, *, comment_id: int, user_id: int, active: bool) -> None:
        """Like a comment or stop liking it; both may be repeated.

        Raises:
            CommentNotFound: the comment is gone.
        """

        async def transaction() -> int:
            async with self._database.write() as connection:
                return await favorite_comment(
                    connection, comment_id=comment_id, user_id=user_id, active=active
                )

        video_id = await retry_conflicts(transaction)
        await self._changes.try_to_announce([(Subject.COMMENTS, video_id)])

    async def _announce(self, video_ids: Iterable[int]) -> None:
        # The video's card counts its comments.
        changes = list(product((Subject.COMMENTS, Subject.VIDEO), video_ids))
        await self._changes.try_to_announce(changes)
