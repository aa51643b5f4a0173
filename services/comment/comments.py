"""Comments on videos and likes of comments: what is written. What is shown is in lists.py."""

from datetime import UTC, datetime

from dal.db.comments import CommentRow, delete_comment, favorite_comment, insert_comment
from dal.db.engine import Database, retry_conflicts
from dal.redis.changes import ChangeLog, Subject
from pkg.clock import now_ms
from pkg.text import clean_text
from services.comment.lists import CommentLists

MAX_CONTENT_CHARS = 255


class Comments:
    """Adds, deletes and likes comments, and tells everybody who keeps them. Texts are stored as they were written."""

    def __init__(self, database: Database, changes: ChangeLog, lists: CommentLists) -> None:
        self._database = database
        self._changes = changes
        self._lists = lists

    async def add(self, *, video_id: int, user_id: int, text: str) -> bytes:
        """Add a comment and return its card.

        Raises:
            InvalidParameter: the text is empty, too long, or has a control character.
            VideoNotFound: the video is not published.
        """
        content = clean_text(text, label="评论", max_chars=MAX_CONTENT_CHARS)
        # Whole milliseconds, as the column keeps them.
        created_at = datetime.fromtimestamp(now_ms() / 1000, tz=UTC).replace(tzinfo=None)

        async def transaction() -> CommentRow:
            async with self._database.write() as connection:
                return await insert_comment(
                    connection,
                    video_id=video_id,
                    user_id=user_id,
                    content=content,
                    created_at=created_at,
                )

        row = await retry_conflicts(transaction)
        await self._announce(video_id)
        return await self._lists.make_card(row, viewer_id=user_id)

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
        await self._announce(video_id)

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

    async def _announce(self, video_id: int) -> None:
        # The video's card counts its comments.
        changes = [(Subject.COMMENTS, video_id), (Subject.VIDEO, video_id)]
        await self._changes.try_to_announce(changes)
