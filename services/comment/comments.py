"""Comments on videos and likes of comments: what is written, and the cards that are shown."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dal.db.comments import (
    CommentRow,
    delete_comment,
    favorite_comment,
    insert_comment,
    list_comments,
    list_favorited_comments,
)
from dal.db.engine import Database, retry_conflicts
from dal.db.videos import require_video
from pkg.clock import now_ms
from pkg.paging import Page, PageRequest, make_page
from pkg.text import clean_text
from protos.comment_pb2 import Comment
from protos.user_pb2 import User
from services.presenters import Presenter, deleted_user

MAX_CONTENT_CHARS = 255


class Comments:
    """Adds, deletes, likes and lists comments. Texts are stored as they were written."""

    def __init__(self, database: Database, presenter: Presenter, display_zone: ZoneInfo) -> None:
        self._database = database
        self._presenter = presenter
        self._display_zone = display_zone

    async def add(self, *, video_id: int, user_id: int, text: str) -> Comment:
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
        [card] = await self._to_cards([row], viewer_id=user_id)
        return card

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

    async def favorite(self, *, comment_id: int, user_id: int, active: bool) -> None:
        """Like a comment or stop liking it; both may be repeated.

        Raises:
            CommentNotFound: the comment is gone.
        """

        async def transaction() -> None:
            async with self._database.write() as connection:
                await favorite_comment(
                    connection, comment_id=comment_id, user_id=user_id, active=active
                )

        await retry_conflicts(transaction)

    async def list_page(
        self, video_id: int, wanted: PageRequest, *, viewer_id: int | None
    ) -> Page[Comment]:
        """Return comments on a video, newest first; the sort key is the id.

        Raises:
            VideoNotFound: the video is not published.
        """
        async with self._database.read_source() as connection:
            rows = await list_comments(
                connection, video_id=video_id, before_id=wanted.before, limit=wanted.fetch_limit
            )
            if not rows:
                # A video with comments is published; one without comments perhaps does not exist.
                await require_video(connection, video_id)
        page = make_page(rows, wanted, key=lambda row: row.id)
        return Page(await self._to_cards(page.items, viewer_id=viewer_id), page.next_cursor)

    async def _to_cards(
        self, rows: Sequence[CommentRow], *, viewer_id: int | None
    ) -> list[Comment]:
        authors = await self._presenter.map_user_cards({row.user_id for row in rows}, viewer_id)
        favorited = await self._list_favorited(rows, viewer_id)
        return [
            self._to_card(
                row,
                author=authors.get(row.user_id) or deleted_user(row.user_id),
                is_favorite=row.id in favorited,
            )
            for row in rows
        ]

    async def _list_favorited(self, rows: Sequence[CommentRow], viewer_id: int | None) -> set[int]:
        # Without a like on any of them there is nothing to ask.
        liked = [row.id for row in rows if row.like_count]
        if viewer_id is None or not liked:
            return set()
        async with self._database.read_source() as connection:
            return await list_favorited_comments(connection, user_id=viewer_id, comment_ids=liked)

    def _to_card(self, row: CommentRow, *, author: User, is_favorite: bool) -> Comment:
        created_at = row.created_at.replace(tzinfo=UTC).astimezone(self._display_zone)
        return Comment(
            id=row.id,
            user=author,
            content=row.content,
            create_date=created_at.strftime("%m-%d"),
            like_count=row.like_count,
            tease_count=row.tease_count,
            is_favorite=is_favorite,
        )
