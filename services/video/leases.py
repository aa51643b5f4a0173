"""Leases on videos: whoever works on one renews its lease, and the lease of whoever died ends by itself."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loguru import logger

from dal.db.engine import Database
from dal.db.models import VideoStatus
from dal.db.upload_jobs import (
    ClaimedVideo,
    LeaseLost,
    forget_attempt,
    move_to_heavy_lane,
    release_video,
    renew_lease,
)
from dal.db.upload_queue import Lane, claim_job, claim_leftover
from dal.redis.trace_contexts import TraceContexts
from pkg.tracing import current_traceparent

RENEWALS_PER_LEASE = 3
PROGRESS_INTERVAL_S = 1.0


@dataclass
class Held:
    """A job that is held; whoever works on it notes here how far it is."""

    progress_percent: int = 0


class Leases:
    """Claims videos, renews their leases and gives them back.

    Args:
        traces: where is noted which trace brought an upload; None: nowhere.
    """

    def __init__(
        self, database: Database, *, lease_s: float, traces: TraceContexts | None = None
    ) -> None:
        self._database = database
        self._lease_s = lease_s
        self._traces = traces

    @property
    def lease_ms(self) -> int:
        """How long a lease lasts."""
        return int(self._lease_s * 1000)

    async def note_trace(self, video: ClaimedVideo) -> None:
        """Let the trace of this moment go on with whoever works on the video."""
        if self._traces is not None:
            await self._traces.note({video.id: current_traceparent()})

    async def find_trace(self, video: ClaimedVideo) -> str | None:
        """Return the trace that brought a video, as a traceparent."""
        return None if self._traces is None else await self._traces.find(video.id)

    async def claim(self, lane: Lane) -> ClaimedVideo | None:
        """Take the next job of a lane; None if there is none.

        The light lane also takes what is left behind: an upload whose receiver died, a failed video whose objects are to be
        deleted again.
        """
        token = secrets.token_hex(16)
        async with self._database.write() as connection:
            video = await claim_job(connection, lane, lease_token=token, lease_ms=self.lease_ms)
            if video is not None or lane.is_heavy:
                return video
            for status in (VideoStatus.UPLOADING, VideoStatus.FAILED):
                video = await claim_leftover(
                    connection, status, lease_token=token, lease_ms=self.lease_ms
                )
                if video is not None:
                    return video
        return None

    async def move_to_heavy_lane(self, video: ClaimedVideo, *, cost_s: float) -> None:
        """Give a video to the workers of the heavy lane.

        Raises:
            LeaseLost: somebody else has it.
        """
        async with self._database.write() as connection:
            await move_to_heavy_lane(connection, video, cost_s=cost_s)

    async def release(self, video: ClaimedVideo, *, delay_s: float, counts: bool) -> None:
        """Give a video back, to be taken again after `delay_s`; the attempt may count or not.

        Where somebody else has it by now, only the attempt is taken back.
        """
        async with self._database.write() as connection:
            try:
                await release_video(connection, video, delay_ms=int(delay_s * 1000), counts=counts)
            except LeaseLost:
                logger.bind(video_id=video.id).warning("video is held by another worker")
                if not counts:
                    await forget_attempt(connection, video)

    @asynccontextmanager
    async def kept(self, video: ClaimedVideo) -> AsyncIterator[Held]:
        """Renew the lease while the block runs, telling its progress; the block is cancelled when the lease is lost.

        Raises:
            LeaseLost: somebody else holds the video now.
        """
        held, scope = Held(), asyncio.timeout(None)
        try:
            async with scope:
                renewing = asyncio.create_task(self._renew(video, held, scope))
                try:
                    yield held
                finally:
                    renewing.cancel()
                    await asyncio.wait({renewing})
        except TimeoutError as exc:
            if scope.expired():
                raise LeaseLost from exc
            raise

    async def _renew(self, video: ClaimedVideo, held: Held, scope: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        interval_s = self._lease_s / RENEWALS_PER_LEASE
        renewed_at, told = loop.time(), 0
        while True:
            await asyncio.sleep(min(interval_s, PROGRESS_INTERVAL_S))
            progress = held.progress_percent
            if progress == told and loop.time() < renewed_at + interval_s:
                continue
            try:
                async with self._database.write() as connection:
                    await renew_lease(
                        connection, video, lease_ms=self.lease_ms, progress_percent=progress
                    )
                renewed_at, told = loop.time(), progress
            except LeaseLost:
                scope.reschedule(loop.time())
                return
            except Exception as exc:  # noqa: BLE001 - the next renewal may succeed
                # The work goes on: its last write checks the lease's token, so that a lost lease publishes nothing.
                logger.bind(video_id=video.id, cause=repr(exc)).warning("lease not renewed")
