"""Videos: published ones in the order of their times, which the feed wants to be different."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table

from dal.db.models import Video, VideoStatus
from dal.db.takeover.original import VIDEOS_BY_TIME
from dal.db.takeover.target import Rows, table_of
from scripts.operator.takeover.findings import Findings, Kind
from scripts.operator.takeover.objects import MediaFiles
from scripts.operator.takeover.step import Step, Taken, is_usable
from scripts.operator.takeover.texts import clean_line
from scripts.operator.takeover.times import Clock, to_column

MAX_TITLE_CHARS = 50
# As many as the storage's client has threads.
FILES_AT_ONCE = 8


class Videos(Step):
    """`videos`. A video without its file or its author is nothing that anybody could see or remove."""

    name = "videos"
    query = VIDEOS_BY_TIME
    rows_per_batch = 200

    def __init__(self, taken: Taken, clock: Clock, *, files: MediaFiles) -> None:
        super().__init__(taken, clock)
        self._files = files
        self._turns = asyncio.Semaphore(FILES_AT_ONCE)
        self.state = {"published_ms": 0}

    async def convert(self, rows: Sequence[Any], findings: Findings) -> Mapping[Table, Rows]:
        wanted = [row for row in rows if self._is_wanted(row, findings)]
        found = await asyncio.gather(*(self._find_keys(row) for row in wanted))
        videos = []
        for row, (keys, its_findings) in zip(wanted, found, strict=True):
            findings.merge(its_findings)
            if keys is None:
                findings.add(Kind.VIDEO_WITHOUT_FILE, f"video {row.id}: {row.play_url}")
            else:
                videos.append(self._convert(row, keys, findings))
        self.taken.videos.update(
            (video["id"], (video["author_id"], video["published_at_ms"])) for video in videos
        )
        return {table_of(Video): videos}

    def _is_wanted(self, row: Any, findings: Findings) -> bool:
        what = f"video {row.id}"
        if not is_usable(row.id, findings, what):
            return False
        if self.clock.find_deletion(row.deleted_at):
            findings.add(Kind.VIDEO_DELETED, what)
            return False
        if row.author_id not in self.taken.users:
            findings.add(Kind.VIDEO_WITHOUT_AUTHOR, f"{what} of {row.author_id}")
            return False
        return True

    async def _find_keys(self, row: Any) -> tuple[tuple[str, str] | None, Findings]:
        """Return the keys of video and cover, None where there is no video, and what was found on the way."""
        findings = Findings()
        what = f"video {row.id}"
        async with self._turns:
            play_key = await self._files.keep_video(row.play_url or "", findings, what)
            if play_key is None:
                return None, findings
            return (
                play_key,
                await self._files.keep_cover(row.cover_url or "", findings, what),
            ), findings

    def _convert(self, row: Any, keys: tuple[str, str], findings: Findings) -> dict[str, Any]:
        what = f"video {row.id}"
        title = clean_line(row.title, max_chars=MAX_TITLE_CHARS)
        if title != row.title:
            findings.add(Kind.TEXT_CLEANED, f"{what}: {row.title!r}")
        created_ms = self.clock.read(row.created_at, findings, what)
        published_ms = max(created_ms, self.state["published_ms"] + 1)
        if published_ms != created_ms and created_ms:
            findings.add(Kind.VIDEO_TIME_MOVED, what)
        self.state["published_ms"] = published_ms
        return {
            "id": row.id,
            "author_id": row.author_id,
            "title": title,
            "upload_key": "",
            "play_url": keys[0],
            "cover_url": keys[1],
            "status": VideoStatus.PUBLISHED.value,
            "published_at_ms": published_ms,
            "created_at_ms": created_ms,
            "created_at": to_column(created_ms),
        }
