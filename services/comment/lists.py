"""Lists of comments, as one viewer sees them.

With a watch the newest comments on a video are kept until somebody announces another one, a deletion or a like there.
"""

from collections.abc import Sequence
from datetime import UTC
from functools import lru_cache
from zoneinfo import ZoneInfo

from dal.db.comments import CommentRow, list_comments, list_favorited_comments, map_comments
from dal.db.engine import Database
from dal.db.videos import require_video
from dal.redis.changes import ChangeWatch, Subject
from pkg.errors import VideoNotFound
from pkg.kept import Kept
from pkg.paging import FROM_THE_START, Page, PageRequest, make_page
from protos.comment_pb2 import Comment
from services.cards import OwnedCard
from services.presenters import Presenter

LIST_LIMIT = 200
NEWEST = PageRequest(LIST_LIMIT)
LISTS_KEPT_S = 30.0
# Of all videos together.
MOST_COMMENTS = 40_000
MOST_VIEWERS = 1000


class CommentList:
    """Comments on one video, newest first, and which of them its viewers like."""

    def __init__(self, rows: Sequence[CommentRow], zone: ZoneInfo) -> None:
        self.cards = [_to_card(row, zone) for row in rows]
        self._liked_ids = [row.id for row in rows if row.like_count]
        self._favorited: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self.cards)

    async def list_favorited(self, database: Database, viewer_id: int | None) -> set[int]:
        """Return those that a viewer likes."""
        # Without a like on any of them there is nothing to ask.
        if viewer_id is None or not self._liked_ids:
            return set()
        if viewer_id not in self._favorited:
            async with database.read_source() as connection:
                found = await list_favorited_comments(
                    connection, user_id=viewer_id, comment_ids=self._liked_ids
                )
            if len(self._favorited) >= MOST_VIEWERS:
                self._favorited.clear()
            # Whoever likes one announces it, and then this list is no longer shown to anybody.
            self._favorited[viewer_id] = found
        return self._favorited[viewer_id]


class CommentLists:
    """Reads the lists."""

    def __init__(
        self,
        database: Database,
        presenter: Presenter,
        display_zone: ZoneInfo,
        watch: ChangeWatch | None = None,
    ) -> None:
        self._database = database
        self._presenter = presenter
        self._display_zone = display_zone
        self._newest: Kept[int, CommentList] = Kept(
            self._load_newest,
            lifetime_s=LISTS_KEPT_S if watch else 0,
            most=MOST_COMMENTS,
            weigh=_weigh,
        )
        if watch is not None:
            watch.tell(Subject.COMMENTS, self._newest.forget, forget_all=self._newest.forget_all)

    async def list_page(
        self, video_id: int, wanted: PageRequest, *, viewer_id: int | None
    ) -> Page[bytes]:
        """Return comments on a video, newest first; the sort key is the id.

        Raises:
            VideoNotFound: the video is not published.
        """
        await self._presenter.look()
        comments = await self._find(video_id, wanted)
        if comments is None:
            raise VideoNotFound
        page = make_page(comments.cards, wanted, key=lambda card: card.id)
        favorited = await comments.list_favorited(self._database, viewer_id)
        return Page(await self._as_seen(page.items, favorited, viewer_id), page.next_cursor)

    async def make_card(self, row: CommentRow, *, viewer_id: int) -> bytes:
        """Return the card of a comment that nobody likes yet."""
        await self._presenter.look()
        [card] = await self._as_seen([_to_card(row, self._display_zone)], set(), viewer_id)
        return card

    async def _as_seen(
        self, cards: Sequence[OwnedCard], favorited: set[int], viewer_id: int | None
    ) -> list[bytes]:
        owners = await self._presenter.map_owners({card.owner_id for card in cards}, viewer_id)
        return [
            card.as_seen(owners[card.owner_id], is_favorite=card.id in favorited) for card in cards
        ]

    async def _find(self, video_id: int, wanted: PageRequest) -> CommentList | None:
        if wanted.before == FROM_THE_START and wanted.limit <= LIST_LIMIT:
            return (await self._newest.get((video_id,))).get(video_id)
        return await self._read(video_id, wanted)

    async def _load_newest(self, video_ids: set[int]) -> dict[int, CommentList]:
        async with self._database.read_source() as connection:
            found = await map_comments(connection, video_ids, limit=NEWEST.fetch_limit)
        return {video_id: CommentList(rows, self._display_zone) for video_id, rows in found.items()}

    async def _read(self, video_id: int, wanted: PageRequest) -> CommentList | None:
        """Return what `make_page` wants, or None where the video is not published."""
        async with self._database.read_source() as connection:
            rows = await list_comments(
                connection, video_id=video_id, before_id=wanted.before, limit=wanted.fetch_limit
            )
            if not rows:
                # A video with comments is published; one without comments perhaps does not exist.
                try:
                    await require_video(connection, video_id)
                except VideoNotFound:
                    return None
        return CommentList(rows, self._display_zone)


def _weigh(comments: CommentList) -> int:
    return 1 + len(comments)


# What a card shows is all that it is made of: a row that is read again and has not changed has its card already.
@lru_cache(MOST_COMMENTS)
def _to_card(row: CommentRow, zone: ZoneInfo) -> OwnedCard:
    created_at = row.created_at.replace(tzinfo=UTC).astimezone(zone)
    comment = Comment(
        id=row.id,
        content=row.content,
        create_date=created_at.strftime("%m-%d"),
        like_count=row.like_count,
        tease_count=row.tease_count,
    )
    return OwnedCard(comment, user_field="user", owner_id=row.user_id)
