"""Where the rows of a takeover go: into our tables, or, in a dry run, nowhere."""

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Table

from dal.db.engine import Database
from dal.db.models import Comment, FavoriteComment, FavoriteVideo, Relation, Video
from dal.db.takeover.progress import StepProgress, begin_step, move_step
from dal.db.takeover.target import (
    Rows,
    insert_rows,
    list_comments_taken,
    list_follow_times,
    list_names,
    list_videos_taken,
    map_counters,
    set_counters,
    table_of,
)
from scripts.operator.takeover.accounts import Names
from scripts.operator.takeover.findings import Findings
from scripts.operator.takeover.step import Taken
from scripts.operator.takeover.times import from_column


class Sink(ABC):
    """Takes rows together with the progress that they mean."""

    def __init__(self) -> None:
        self.progress: dict[str, StepProgress] = {}

    async def begin(self, step: str) -> StepProgress:
        """Return how far a step is."""
        if step not in self.progress:
            self.progress[step] = StepProgress(step)
            await self._begin(self.progress[step])
        return self.progress[step]

    async def write(
        self,
        progress: StepProgress,
        rows: Mapping[Table, Rows],
        findings: Findings,
        *,
        rows_read: int,
    ) -> None:
        """Keep rows, what was found, and that so many more rows of the source are dealt with: all or nothing."""
        before = progress.rows_read
        total = Findings.from_json(progress.findings)
        total.merge(findings)
        progress.findings = total.to_json()
        progress.rows_read += rows_read
        await self._write(progress, rows, rows_before=before)

    @abstractmethod
    async def restore(self, taken: Taken, names: Names) -> None:
        """Tell what an earlier run has taken over."""

    @abstractmethod
    async def count(self, progress: StepProgress) -> None:
        """Set the counters to what the rows say, once."""

    @abstractmethod
    async def map_counters(
        self, table: str, columns: Sequence[str], ids: Collection[int]
    ) -> dict[int, tuple[int, ...]]:
        """Return what the rows say, by the id of the counting row."""

    @abstractmethod
    async def _begin(self, progress: StepProgress) -> None: ...

    @abstractmethod
    async def _write(
        self, progress: StepProgress, rows: Mapping[Table, Rows], /, *, rows_before: int
    ) -> None: ...


class DatabaseSink(Sink):
    """Our database."""

    def __init__(self, database: Database, progress: dict[str, StepProgress]) -> None:
        super().__init__()
        self._database = database
        self.progress = progress

    async def restore(self, taken: Taken, names: Names) -> None:
        async with self._database.read_source() as connection:
            accounts = await list_names(connection)
            videos = await list_videos_taken(connection)
            comments = await list_comments_taken(connection)
            follows = await list_follow_times(connection)
        names.restore(accounts)
        taken.follows.update({from_column(time): number for time, number in follows})
        taken.comments.update((comment, bool(is_shown)) for comment, is_shown in comments)
        taken.users.update(account[0] for account in accounts)
        taken.videos.update((video, (author, time_ms)) for video, author, time_ms in videos)

    async def count(self, progress: StepProgress) -> None:
        if progress.state:
            return
        progress.state = {"is_set": True}
        async with self._database.write() as connection:
            await set_counters(connection)
            await move_step(connection, progress, rows_before=0)

    async def map_counters(
        self, table: str, columns: Sequence[str], ids: Collection[int]
    ) -> dict[int, tuple[int, ...]]:
        async with self._database.read_source() as connection:
            return await map_counters(connection, table, columns, ids)

    async def _begin(self, progress: StepProgress) -> None:
        async with self._database.write() as connection:
            await begin_step(connection, progress)

    async def _write(
        self, progress: StepProgress, rows: Mapping[Table, Rows], /, *, rows_before: int
    ) -> None:
        async with self._database.write() as connection:
            await insert_rows(connection, rows)
            await move_step(connection, progress, rows_before=rows_before)


class DrySink(Sink):
    """Keeps nothing but what the counters would be."""

    def __init__(self, taken: Taken) -> None:
        super().__init__()
        self._taken = taken
        self._counts: defaultdict[tuple[str, str], Counter[int]] = defaultdict(Counter)

    async def restore(self, taken: Taken, names: Names) -> None:
        pass

    async def count(self, progress: StepProgress) -> None:
        pass

    async def map_counters(
        self, table: str, columns: Sequence[str], ids: Collection[int]
    ) -> dict[int, tuple[int, ...]]:
        there: dict[str, Collection[int]] = {
            "users": self._taken.users,
            "videos": self._taken.videos,
            "comments": self._taken.comments,
        }
        counts = [self._counts[table, column] for column in columns]
        return {
            row_id: tuple(count[row_id] for count in counts)
            for row_id in ids
            if row_id in there[table]
        }

    async def _begin(self, progress: StepProgress) -> None:
        pass

    async def _write(
        self, progress: StepProgress, rows: Mapping[Table, Rows], /, *, rows_before: int
    ) -> None:
        del progress, rows_before  # a dry run never goes on
        for row in rows.get(table_of(FavoriteVideo), ()):
            self._add("users", "favorite_count", row["user_id"])
            self._add("users", "total_favorited", self._taken.videos[row["video_id"]][0])
            self._add("videos", "favorite_count", row["video_id"])
        for row in rows.get(table_of(Relation), ()):
            self._add("users", "following_count", row["user_id"])
            self._add("users", "follower_count", row["to_user_id"])
        for row in rows.get(table_of(Video), ()):
            self._add("users", "work_count", row["author_id"])
        for row in rows.get(table_of(Comment), ()):
            if row["deleted_at"] is None:
                self._add("videos", "comment_count", row["video_id"])
        for row in rows.get(table_of(FavoriteComment), ()):
            self._add("comments", "like_count", row["comment_id"])

    def _add(self, table: str, column: str, row_id: int) -> None:
        self._counts[table, column][row_id] += 1
