"""Runs VideoService: the gRPC calls, and the workers that process uploads."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from dal.db.engine import Database
from dal.db.upload_jobs import ClaimedVideo
from dal.db.upload_queue import heavy_lane, light_lane
from dal.redis.changes import ChangeLog
from dal.redis.trace_contexts import TraceContexts
from pkg.media import MediaTool
from pkg.rpc.server import Background, Composition, ServiceDefinition, run_service
from pkg.scheduler import Scheduler
from pkg.spool import Spool, remove_abandoned
from pkg.startup import wait_until_available
from pkg.storage import Storage
from protos import video_pb2, video_pb2_grpc
from services.buckets import BUCKETS, VIDEOS_BUCKET
from services.foundation import Foundation, keep_asking, open_foundation
from services.video import backlog, old_failures
from services.video.handler import VideoHandler
from services.video.leases import Leases
from services.video.outcomes import Outcomes
from services.video.settings import VideoProcessSettings, VideoSettings
from services.video.timeline import Timeline, announce_publication
from services.video.uploads import Uploads
from services.video.worker import LaneOfWork, Worker


@asynccontextmanager
async def compose(settings: VideoProcessSettings) -> AsyncIterator[Composition[VideoHandler]]:
    """Open what the service needs and put its handler and workers together."""
    remove_abandoned(settings.video.spool_dir)
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(open_foundation(settings))
        storage = await stack.enter_async_context(Storage(settings.storage))
        await wait_until_available("storage", partial(storage.ensure_buckets, BUCKETS))
        leases = _make_leases(base, settings.video)
        outcomes = _make_outcomes(base.database, settings.video)
        light, heavy = _make_lanes(settings.video)
        make_worker = partial(
            Worker,
            database=base.database,
            storage=storage,
            media=MediaTool(settings.media),
            leases=leases,
            settings=settings.video,
            on_heavy=heavy.woken.set,
            on_outcome=partial(_tell_outcome, outcomes, base.changes),
        )
        uploads = _make_uploads(settings, base.database, storage, leases=leases, light=light)
        handler = VideoHandler(
            database=base.database,
            uploads=uploads,
            outcomes=outcomes,
            timeline=Timeline(base.database, base.watch),
            changes=base.changes,
            presenter=base.make_presenter(),
            viewers=base.viewers,
        )
        lanes = (light, heavy) * settings.media.max_parallel
        background = [*base.background, *(make_worker(lane).run for lane in lanes)]
        background += _make_upkeep(base.database, storage, settings.video)
        yield Composition(handler, background=background)


def _make_uploads(
    settings: VideoProcessSettings,
    database: Database,
    storage: Storage,
    *,
    leases: Leases,
    light: LaneOfWork,
) -> Uploads:
    return Uploads(
        database=database,
        storage=storage,
        leases=leases,
        max_bytes=settings.upload.max_bytes,
        max_unfinished=settings.video.max_unfinished_uploads_per_author,
        spool=Spool(settings.video.spool_dir, settings.video.spool),
        on_uploaded=light.woken.set,
    )


async def _tell_outcome(outcomes: Outcomes, changes: ChangeLog, video: ClaimedVideo) -> None:
    await announce_publication(changes, video_id=video.id, author_id=video.author_id)
    outcomes.tell(video.id)


def _make_leases(base: Foundation, settings: VideoSettings) -> Leases:
    traces = TraceContexts(base.redis, "upload")
    return Leases(base.database, lease_s=settings.lease_s, traces=traces)


def _make_lanes(settings: VideoSettings) -> tuple[LaneOfWork, LaneOfWork]:
    heavy = heavy_lane(max_per_author=settings.max_heavy_per_author)
    return LaneOfWork(light_lane()), LaneOfWork(heavy)


def _make_upkeep(database: Database, storage: Storage, settings: VideoSettings) -> list[Background]:
    scheduler = Scheduler()
    old_failures.schedule(scheduler, database, settings)
    measure = partial(backlog.measure_upload_jobs, database)
    scheduler.every(backlog.INTERVAL_S, measure, "measure upload jobs")
    asking = keep_asking(partial(storage.ping, VIDEOS_BUCKET), name="storage is asked")
    return [scheduler.run, asking]


def _make_outcomes(database: Database, settings: VideoSettings) -> Outcomes:
    return Outcomes(
        database, wait_s=settings.publish_wait_s, max_waiting=settings.max_waiting_replies
    )


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            file=video_pb2.DESCRIPTOR,
            add_to_server=video_pb2_grpc.add_VideoServiceServicer_to_server,
            settings_class=VideoProcessSettings,
            compose=compose,
        )
    )
