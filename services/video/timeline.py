"""Which videos are published, in pages: the feed, and the list of an author.

Pages are read on the source: a walk must not miss what a replica learns later. With a watch they are kept until somebody announces a
publication; everybody who walks down the feed from its top asks for the same pages.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence

from dal.db.engine import Database
from dal.db.users import require_user
from dal.db.videos import (
    ListedVideo,
    list_feed,
    list_videos_of_author,
    map_videos_of_authors,
)
from dal.redis.changes import ChangeLog, ChangeWatch, Subject
from pkg.errors import UserNotFound
from pkg.kept import Kept
from pkg.paging import FROM_THE_START, PageRequest

FEED_LIMIT = 30
# Whoever walks down goes through these forty pages, which cost a statement together and not each.
NEWEST_VIDEOS = 1200
# Of an author's list.
LIST_LIMIT = 100
NEWEST = PageRequest(LIST_LIMIT)
PAGES_KEPT_S = 30.0
# Of all pages together.
MOST_VIDEOS = 100_000

Videos = Sequence[ListedVideo]


async def announce_publication(changes: ChangeLog, *, video_id: int, author_id: int) -> None:
    """Tell everybody who keeps pages or cards that a video is published; may be repeated."""
    subjects = [(Subject.TIMELINE, video_id), (Subject.VIDEO, video_id), (Subject.USER, author_id)]
    await changes.try_to_announce(subjects)


class Stretch:
    """The newest videos of the feed, `length` of them or all that there are."""

    def __init__(self, videos: Videos, length: int) -> None:
        self._videos = videos
        # Ascending, as bisecting wants it.
        self._negative_times = [-video.published_at_ms for video in videos]
        self._is_whole_feed = len(videos) < length

    def find_page(self, before_ms: int) -> Videos | None:
        """Return the page below a time, or None where it ends farther down."""
        begin = bisect_right(self._negative_times, -before_ms)
        page = self._videos[begin : begin + FEED_LIMIT]
        return page if self._is_whole_feed or len(page) == FEED_LIMIT else None


class Timeline:
    """Reads the pages; with a `watch`, whoever reads has let it look before."""

    def __init__(self, database: Database, watch: ChangeWatch | None = None) -> None:
        self._database = database
        self._keeps = watch is not None
        lifetime_s = PAGES_KEPT_S if watch else 0
        self._feed: Kept[int, Videos] = Kept(
            self._load_feed, lifetime_s=lifetime_s, most=MOST_VIDEOS, weigh=_weigh
        )
        self._authors: Kept[int, Videos] = Kept(
            self._load_authors, lifetime_s=lifetime_s, most=MOST_VIDEOS, weigh=_weigh
        )
        self._newest: Kept[int, Stretch] = Kept(self._load_newest, lifetime_s=lifetime_s, most=2)
        if watch is not None:
            watch.tell(Subject.TIMELINE, self._forget, forget_all=self._forget_all)

    async def list_feed(self, before_ms: int) -> Videos:
        """Return the newest videos published strictly before `before_ms`, newest first."""
        return (await self._feed.get((before_ms,)))[before_ms]

    async def list_of_author(self, author_id: int, wanted: PageRequest) -> Videos:
        """Return the newest videos of an author, as `make_page` wants them.

        Raises:
            UserNotFound: nobody has this id.
        """
        if wanted.before != FROM_THE_START or wanted.limit > LIST_LIMIT:
            return await self._read_author(author_id, wanted)
        found = await self._authors.get((author_id,))
        if author_id not in found:
            raise UserNotFound
        return found[author_id]

    def _forget(self, _video_id: int) -> None:
        self._forget_all()

    def _forget_all(self) -> None:
        self._feed.forget_all()
        self._newest.forget_all()
        self._authors.forget_all()

    async def _load_feed(self, before: set[int]) -> dict[int, Videos]:
        return dict(zip(before, await asyncio.gather(*map(self._find_page, before)), strict=True))

    async def _find_page(self, before_ms: int) -> Videos:
        if self._keeps and before_ms != FROM_THE_START:
            [stretch] = (await self._newest.get((NEWEST_VIDEOS,))).values()
            if (page := stretch.find_page(before_ms)) is not None:
                return page
        return await self._read_feed(before_ms, FEED_LIMIT)

    async def _load_newest(self, lengths: set[int]) -> dict[int, "Stretch"]:
        return {
            length: Stretch(await self._read_feed(FROM_THE_START, length), length)
            for length in lengths
        }

    async def _read_feed(self, before_ms: int, limit: int) -> Videos:
        async with self._database.read_source() as connection:
            return await list_feed(connection, before_ms=before_ms, limit=limit)

    async def _load_authors(self, author_ids: set[int]) -> dict[int, list[ListedVideo]]:
        async with self._database.read_source() as connection:
            return await map_videos_of_authors(connection, author_ids, limit=NEWEST.fetch_limit)

    async def _read_author(self, author_id: int, wanted: PageRequest) -> Videos:
        async with self._database.read_source() as connection:
            rows = await list_videos_of_author(
                connection, author_id=author_id, before_ms=wanted.before, limit=wanted.fetch_limit
            )
            await require_user(connection, author_id)
        return rows


def _weigh(page: Videos) -> int:
    return 1 + len(page)
