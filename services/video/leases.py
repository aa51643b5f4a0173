"""Leases on videos: whoever works on one renews its lease, and the lease of whoever died ends by itself."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loguru import logger

from dal.db.engine import Database
from dal.db.models import VideoStatus
from dal.db.upload_jobs import (
    ClaimedVideo,
    LeaseLost,
    claim_video,
    forget_attempt,
    release_video,
    renew_lease,
)
from pkg.clock import now_ms

RENEWALS_PER_LEASE = 3


class Leases:
    """Claims videos, renews their leases and gives them back."""

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    def end_ms(self) -> int:
        """Return when a lease that begins now will end."""
        return now_ms() + int(self._lease_s * 1000)

    async def claim(self) -> ClaimedVideo | None:
        """Take a job; None if there is none.

        First a video to process, then an upload whose receiver died, then a failed video whose objects are to be deleted
        again.
        """
        async with self._database.write() as connection:
            for status in (VideoStatus.PROCESSING, VideoStatus.UPLOADING, VideoStatus.FAILED):
                video = await claim_video(
                    connection,
                    status=status,
                    now_ms=now_ms(),
                    lease_token=secrets.token_hex(16),
                    lease_expires_at_ms=self.end_ms(),
                )
                if video is not None:
                    return video
        return None

    async def release(self, video: ClaimedVideo, *, delay_s: float, counts: bool) -> None:
        """Give a video back, to be taken again after `delay_s`; the attempt may count or not.

        Where somebody else has it by now, only the attempt is taken back.
        """
        async with self._database.write() as connection:
            try:
                await release_video(
                    connection, video, retry_at_ms=now_ms() + int(delay_s * 1000), counts=counts
                )
            except LeaseLost:
                logger.bind(video_id=video.id).warning("video is held by another worker")
                if not counts:
                    await forget_attempt(connection, video)

    @asynccontextmanager
    async def kept(self, video: ClaimedVideo) -> AsyncIterator[None]:
        """Renew the lease while the block runs; the block is cancelled when the lease is lost.

        Raises:
            LeaseLost: somebody else holds the video now.
        """
        scope = asyncio.timeout(None)
        try:
            async with scope:
                renewing = asyncio.create_task(self._renew(video, scope))
                try:
                    yield
                finally:
                    renewing.cancel()
                    await asyncio.wait({renewing})
        except TimeoutError as exc:
            if scope.expired():
                raise LeaseLost from exc
            raise

    async def _renew(self, video: ClaimedVideo, scope: asyncio.Timeout) -> None:
        while True:
            await asyncio.sleep(self._lease_s / RENEWALS_PER_LEASE)
            try:
                async with self._database.write() as connection:
                    await renew_lease(connection, video, lease_expires_at_ms=self.end_ms())
            except LeaseLost:
                scope.reschedule(asyncio.get_running_loop().time())
                return
            except Exception as exc:  # noqa: BLE001 - the next renewal may succeed
                # The work goes on: its last write checks the lease's token, so that a lost lease publishes nothing.
                logger.bind(video_id=video.id, cause=repr(exc)).warning("lease not renewed")
