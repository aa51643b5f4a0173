"""Receiving an upload: from the gRPC stream through a temporary file into storage.

Its row is written before its first byte is stored, so that whatever a crash leaves in storage belongs to a row.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from loguru import logger

from dal.db.engine import Database
from dal.db.upload_jobs import ClaimedVideo, LeaseLost, ObjectKeys, insert_upload, mark_uploaded
from dal.db.upload_queue import count_unfinished
from dal.db.users import require_user
from pkg.errors import (
    DeadlineExceeded,
    InvalidParameter,
    PayloadTooLarge,
    RateLimited,
    UnsupportedVideo,
)
from pkg.media import HEAD_SIZE, find_refusal
from pkg.names import clean_title
from pkg.spool import Spool
from pkg.storage import Storage, random_key
from services.buckets import VIDEO_UPLOADS_BUCKET
from services.video.leases import Leases

MAX_TITLE_CHARS = 50
UPLOAD_CONTENT_TYPE = "application/octet-stream"
TOO_MANY_UNFINISHED = "还有很多视频正在处理,请等它们完成后再上传"
RETRY_AFTER_S = 10


@dataclass(frozen=True)
class Upload:
    """What is known before the first byte: whose it is and how many bytes will come."""

    author_id: int
    title: str
    size: int


class Uploads:
    """Receives uploads; where that breaks off, a worker cleans up once the lease of the row ends."""

    def __init__(
        self,
        *,
        database: Database,
        storage: Storage,
        leases: Leases,
        max_bytes: int,
        max_unfinished: int,
        spool: Spool,
        on_uploaded: Callable[[], None],
    ) -> None:
        self._database = database
        self._storage = storage
        self._leases = leases
        self._max_bytes = max_bytes
        self._max_unfinished = max_unfinished
        self._spool = spool
        self._on_uploaded = on_uploaded

    async def receive(
        self,
        upload: Upload,
        chunks: AsyncIterator[bytes],
        *,
        on_accepted: Callable[[], Awaitable[None]],
    ) -> int:
        """Store an upload and return the id of its video; it is then safe and a worker will take it.

        Args:
            on_accepted: called once the beginning is there and looks like a video.

        Raises:
            InvalidParameter: a bad title, or a stream whose length is not the announced one.
            UnsupportedVideo: it does not begin like a video.
            PayloadTooLarge: it is over the limit.
            UserNotFound: the author's account is gone.
            RateLimited: too many uploads of the author are neither published nor failed.
            DependencyUnavailable: a server is unavailable, or the disk is full.
        """
        title = clean_title(upload.title, label="标题", max_chars=MAX_TITLE_CHARS)
        if upload.size > self._max_bytes:
            raise PayloadTooLarge
        async with self._database.read_source() as connection:
            await require_user(connection, upload.author_id)
            self._refuse_too_many(await count_unfinished(connection, upload.author_id))
        with self._spool.open(max_bytes=max(0, upload.size)) as spooled:
            await _spool(chunks, spooled, size=upload.size, on_accepted=on_accepted)
            video = await self._insert(upload.author_id, title)
            await self._leases.note_trace(video)
            await self._store(video, Path(f"/proc/self/fd/{spooled.fileno()}"))
        logger.bind(video_id=video.id, bytes=upload.size).info("upload stored")
        self._on_uploaded()
        return video.id

    async def _insert(self, author_id: int, title: str) -> ClaimedVideo:
        keys = ObjectKeys(random_key(), random_key(".mp4"), random_key(".jpg"))
        async with self._database.write() as connection:
            # Again: others of the same author may have arrived meanwhile.
            self._refuse_too_many(await count_unfinished(connection, author_id))
            return await insert_upload(
                connection,
                author_id=author_id,
                title=title,
                keys=keys,
                lease_token=secrets.token_hex(16),
                lease_ms=self._leases.lease_ms,
            )

    def _refuse_too_many(self, unfinished: int) -> None:
        if unfinished >= self._max_unfinished:
            raise RateLimited(TOO_MANY_UNFINISHED, retry_after_s=RETRY_AFTER_S)

    async def _store(self, video: ClaimedVideo, path: Path) -> None:
        try:
            async with self._leases.kept(video):
                await self._storage.put_file(
                    VIDEO_UPLOADS_BUCKET, video.keys.upload, path, UPLOAD_CONTENT_TYPE
                )
            async with self._database.write() as connection:
                await mark_uploaded(connection, video)
        except LeaseLost as exc:
            raise DeadlineExceeded(detail="upload took longer than its lease") from exc


async def _spool(
    chunks: AsyncIterator[bytes],
    target: IO[bytes],
    *,
    size: int,
    on_accepted: Callable[[], Awaitable[None]],
) -> None:
    """Write the stream to a file; refuse it as soon as its beginning is there and does not look like a video."""
    received, head = 0, b""
    async for chunk in chunks:
        received += len(chunk)
        if received > size:
            raise InvalidParameter("上传的内容与声明的大小不符,请重试")
        if len(head) < HEAD_SIZE:
            head += chunk[:HEAD_SIZE]
            if len(head) >= HEAD_SIZE:
                _refuse_other_content(head)
                await on_accepted()
        await asyncio.to_thread(target.write, chunk)
    if received != size:
        raise InvalidParameter("上传没有完成,请重试")
    _refuse_other_content(head)
    await asyncio.to_thread(target.flush)


def _refuse_other_content(head: bytes) -> None:
    reason = find_refusal(head)
    if reason is not None:
        raise UnsupportedVideo(reason)
