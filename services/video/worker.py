"""Turning uploads into published videos, in the background.

The steps: fetch the upload, look into it, convert it, store the playable file, store the cover, delete the upload, publish.
Every step may be repeated: a worker that dies at any point is replaced once its lease ends, and the next one goes on. Where
the upload is gone and both results are there, only the last step is left. A worker of the light lane that finds that the
pictures must be encoded again leaves the video to the heavy lane.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from loguru import logger

from dal.db.engine import Database, TransactionConflict, retry_conflicts
from dal.db.models import VideoStatus
from dal.db.upload_jobs import (
    ClaimedVideo,
    LeaseLost,
    fail_video,
    find_age_s,
    publish_video,
    set_failure_reason,
)
from dal.db.upload_queue import Lane
from pkg.clock import now_ms
from pkg.endurance import Endurance, repeat_until_stopped
from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable
from pkg.media import (
    PROCESSING_FAILED,
    CopyFailed,
    MediaTool,
    MediaToolFailed,
    Plan,
    UnreadableVideo,
)
from pkg.metrics import observe
from pkg.spool import work_folder
from pkg.storage import ObjectMissing, Storage
from pkg.tracing import Span, begin_job
from services.buckets import VIDEO_COVERS_BUCKET, VIDEO_UPLOADS_BUCKET, VIDEOS_BUCKET
from services.video.leases import Held, Leases
from services.video.metrics import PUBLISHED_SECONDS, UPLOADS_FAILED
from services.video.settings import VideoSettings

STORAGE_REFUSES = "服务器存储出现问题,视频未能发布,请稍后重新上传"
INTERRUPTED = "上传中断,请重新上传"
OUR_FAULTS = frozenset({INTERRUPTED, PROCESSING_FAILED, STORAGE_REFUSES})
VIDEO_CONTENT_TYPE = "video/mp4"
COVER_CONTENT_TYPE = "image/jpeg"
RETRY_DELAY_S = 2.0
# Without an operator the next attempt fails too.
REFUSED_RETRY_DELAY_S = 10.0
GIVE_BACK_INTERVAL_S = 0.5
GIVE_BACK_ON_STOP_S = 2.0
# A PUT that a frozen server carries out late comes within the lease of the worker that sent it, or soon after.
SWEEP_DELAY_LEASES = 2


@dataclass(frozen=True)
class LaneOfWork:
    """A lane, and what wakes its workers."""

    lane: Lane
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class _StorageRefuses(Exception):
    """Storage is there, but does not do what this attempt needs; the text says what it answered."""


class _TooHeavy(Exception):
    """The work is not for the light lane."""

    def __init__(self, cost_s: float) -> None:
        self.cost_s = cost_s
        super().__init__(f"{cost_s:.0f} s of work")


class Worker:
    """Processes one video of a lane after the other; run as many workers in each lane as there may be conversions."""

    def __init__(
        self,
        work: LaneOfWork,
        *,
        database: Database,
        storage: Storage,
        media: MediaTool,
        leases: Leases,
        settings: VideoSettings,
        on_heavy: Callable[[], None],
        on_outcome: Callable[[ClaimedVideo], Awaitable[None]],
    ) -> None:
        self._work = work
        self._database = database
        self._storage = storage
        self._media = media
        self._leases = leases
        self._settings = settings
        self._on_heavy = on_heavy
        self._on_outcome = on_outcome

    @property
    def lane(self) -> Lane:
        """The lane whose videos this worker processes."""
        return self._work.lane

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; a video that is being processed then is given back at once."""
        pause_s = self._settings.job_interval_s
        await repeat_until_stopped(
            stop, partial(self._take_turn, stop), name="video worker", pause_s=pause_s
        )

    async def _take_turn(self, stop: asyncio.Event) -> None:
        video = await retry_conflicts(lambda: self._leases.claim(self.lane))
        if video is None:
            await self._wait_for_work(stop)
        else:
            await self._work_until(stop, video)

    async def _wait_for_work(self, stop: asyncio.Event) -> None:
        """Wait for the next turn, or less: an upload that has just been stored wakes a worker."""
        waits = [asyncio.create_task(event.wait()) for event in (stop, self._work.woken)]
        await asyncio.wait(
            waits, timeout=self._settings.job_interval_s, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in waits:
            wait.cancel()
        self._work.woken.clear()

    async def _work_until(self, stop: asyncio.Event, video: ClaimedVideo) -> None:
        working = asyncio.create_task(self.work_on(video))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
            with suppress(TimeoutError):
                async with asyncio.timeout(GIVE_BACK_ON_STOP_S):
                    await self._give_back(video, delay_s=0, counts=False)
        else:
            await working

    async def work_on(self, video: ClaimedVideo) -> None:
        """Publish or fail one claimed video, or give it back for another attempt."""
        log = logger.bind(video_id=video.id, attempt=video.attempts)
        try:
            with await self._begin_span(video):
                async with self._leases.kept(video) as held:
                    await self._advance(video, held)
        except LeaseLost:
            log.warning("video is held by another worker")
        except _StorageRefuses as exc:
            log.bind(error=str(exc)).error("storage refuses a video: an operator must act")
            await self._give_back(video, counts=True, delay_s=REFUSED_RETRY_DELAY_S)
        except (DependencyUnavailable, DeadlineExceeded, TransactionConflict, OSError) as exc:
            # Not the video's fault but a server's or the disk's: it is tried again until that works.
            log.bind(cause=repr(exc)).warning("video waits for a server")
            await self._give_back(video, counts=False)
        except MediaToolFailed as exc:
            log.bind(detail=exc.detail).warning("video could not be processed")
            await self._give_back(video, counts=True)
        except Exception:  # A worker must outlive one bad video.
            log.exception("unexpected error while a video was processed")
            await self._give_back(video, counts=True)

    async def _begin_span(self, video: ClaimedVideo) -> Span:
        return begin_job(
            "process upload",
            traceparent=await self._leases.find_trace(video),
            attributes={"dousheng.video_id": video.id, "dousheng.attempt": video.attempts},
        )

    async def _advance(self, video: ClaimedVideo, held: Held) -> None:
        if video.status is VideoStatus.FAILED:
            await self._sweep(video)
            return
        reason = self._find_reason_to_fail(video)
        if reason is None:
            try:
                await self._make_ready(video, held)
            except _TooHeavy as exc:
                await self._leave_to_heavy_lane(video, exc.cost_s)
                return
            except UnreadableVideo as exc:
                logger.bind(video_id=video.id, detail=exc.detail).info("video refused")
                reason = exc.reason
            except DependencyRefused as exc:
                if video.attempts < self._settings.max_attempts:
                    raise _StorageRefuses(exc.detail) from exc
                logger.bind(video_id=video.id, error=exc.detail).error("storage refuses a video")
                reason = STORAGE_REFUSES
        if reason is None:
            await retry_conflicts(lambda: self._publish(video))
        else:
            await self._fail(video, reason)
        await self._on_outcome(video)

    def _find_reason_to_fail(self, video: ClaimedVideo) -> str | None:
        if video.failure_reason:
            return video.failure_reason
        if video.status is VideoStatus.UPLOADING:
            return INTERRUPTED
        return PROCESSING_FAILED if video.attempts > self._settings.max_attempts else None

    async def _make_ready(self, video: ClaimedVideo, held: Held) -> None:
        with work_folder(self._settings.spool_dir) as folder:
            upload = folder / "upload"
            try:
                await self._storage.get_file(VIDEO_UPLOADS_BUCKET, video.keys.upload, upload)
            except ObjectMissing as exc:
                if not await self._has_results(video):
                    raise UnreadableVideo(INTERRUPTED, detail="upload is missing") from exc
                return
            await self._process(video, upload, folder=folder, held=held)
        await self._storage.delete(VIDEO_UPLOADS_BUCKET, video.keys.upload)

    async def _process(
        self, video: ClaimedVideo, upload: Path, *, folder: Path, held: Held
    ) -> None:
        playable, cover = folder / "video.mp4", folder / "cover.jpg"
        plan = await self._media.inspect(upload)
        try:
            await self._convert(upload, playable, plan=plan, held=held)
        except CopyFailed as exc:
            await self._convert(upload, playable, plan=exc.encoding, held=held)
        await self._media.make_cover(playable, cover)
        await self._storage.put_file(VIDEOS_BUCKET, video.keys.play, playable, VIDEO_CONTENT_TYPE)
        await self._storage.put_file(
            VIDEO_COVERS_BUCKET, video.keys.cover, cover, COVER_CONTENT_TYPE
        )

    async def _convert(self, upload: Path, playable: Path, *, plan: Plan, held: Held) -> None:
        if not plan.is_light and not self.lane.is_heavy:
            raise _TooHeavy(plan.cost_s)

        def note_progress(share: float) -> None:
            # The last percent comes with the publication.
            held.progress_percent = min(99, int(share * 100))

        await self._media.convert(upload, playable, plan, note_progress)

    async def _leave_to_heavy_lane(self, video: ClaimedVideo, cost_s: float) -> None:
        await self._leases.move_to_heavy_lane(video, cost_s=cost_s)
        logger.bind(video_id=video.id, cost_s=round(cost_s)).info("video must be encoded")
        self._on_heavy()

    async def _has_results(self, video: ClaimedVideo) -> bool:
        return await self._storage.exists(
            VIDEOS_BUCKET, video.keys.play
        ) and await self._storage.exists(VIDEO_COVERS_BUCKET, video.keys.cover)

    async def _publish(self, video: ClaimedVideo) -> None:
        async with self._database.write() as connection:
            published_at_ms = await publish_video(connection, video, now_ms=now_ms())
            age_s = await find_age_s(connection, video)
        observe(PUBLISHED_SECONDS, age_s)
        logger.bind(video_id=video.id, published_at_ms=published_at_ms).info("video published")

    async def _fail(self, video: ClaimedVideo, reason: str) -> None:
        async with self._database.write() as connection:
            await set_failure_reason(connection, video, reason=reason)
        try:
            await self._delete_objects(video)
        except DependencyRefused as exc:
            # The author must be told all the same; the sweep deletes them once an operator has acted.
            logger.bind(video_id=video.id, error=exc.detail).error("objects not deleted")
        sweep_delay_ms = SWEEP_DELAY_LEASES * self._leases.lease_ms
        async with self._database.write() as connection:
            await fail_video(connection, video, sweep_delay_ms=sweep_delay_ms)
        UPLOADS_FAILED.labels(fault="ours" if reason in OUR_FAULTS else "file").inc()
        logger.bind(video_id=video.id, reason=reason).info("video failed")

    async def _sweep(self, video: ClaimedVideo) -> None:
        """Delete again: a storage server that was frozen may have carried out a PUT after the DELETE that followed it."""
        try:
            await self._delete_objects(video)
        except DependencyRefused as exc:
            raise _StorageRefuses(exc.detail) from exc
        async with self._database.write() as connection:
            await fail_video(connection, video)

    async def _delete_objects(self, video: ClaimedVideo) -> None:
        await self._storage.delete(VIDEO_UPLOADS_BUCKET, video.keys.upload)
        await self._storage.delete(VIDEOS_BUCKET, video.keys.play)
        await self._storage.delete(VIDEO_COVERS_BUCKET, video.keys.cover)

    async def _give_back(
        self, video: ClaimedVideo, *, counts: bool, delay_s: float = RETRY_DELAY_S
    ) -> None:
        """Give a job back; without its database a worker has nothing better to do than to try until that answers."""
        endurance = Endurance("video worker gives back", facts={"video_id": video.id})

        async def release() -> None:
            await retry_conflicts(
                partial(self._leases.release, video, delay_s=delay_s, counts=counts)
            )

        await endurance.insist(release, pause_s=GIVE_BACK_INTERVAL_S)
