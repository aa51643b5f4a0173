"""Runs VideoService: the gRPC calls, and the workers that process uploads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from pkg.media import MediaTool
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from pkg.spool import Spool, remove_abandoned
from pkg.startup import wait_until_available
from pkg.storage import Storage
from protos import video_pb2, video_pb2_grpc
from services.buckets import BUCKETS
from services.foundation import open_foundation
from services.video.handler import VideoHandler
from services.video.leases import Leases
from services.video.settings import VideoProcessSettings
from services.video.uploads import Uploads
from services.video.worker import Worker


@asynccontextmanager
async def compose(settings: VideoProcessSettings) -> AsyncIterator[Composition[VideoHandler]]:
    """Open what the service needs and put its handler and workers together."""
    media = MediaTool(settings.media)
    woken = asyncio.Event()
    remove_abandoned(settings.video.spool_dir)
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(open_foundation(settings))
        storage = await stack.enter_async_context(Storage(settings.storage))
        await wait_until_available("storage", partial(storage.ensure_buckets, BUCKETS))
        leases = Leases(base.database, lease_s=settings.video.lease_s)
        uploads = Uploads(
            database=base.database,
            storage=storage,
            leases=leases,
            max_bytes=settings.upload.max_bytes,
            spool=Spool(settings.video.spool_dir, settings.video.spool),
            on_uploaded=woken.set,
        )
        workers = [
            Worker(
                database=base.database,
                storage=storage,
                media=media,
                leases=leases,
                settings=settings.video,
                woken=woken,
            )
            for _ in range(settings.media.max_parallel)
        ]
        handler = VideoHandler(
            database=base.database,
            uploads=uploads,
            presenter=base.make_presenter(),
            viewers=base.viewers,
        )
        yield Composition(
            handler, background=[*base.background, *(worker.run for worker in workers)]
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
