"""Runs VideoService: the gRPC calls, and the workers that process uploads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from dal.db.engine import open_database
from dal.redis.client import open_redis
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from pkg.media import MediaTool
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from pkg.spool import remove_abandoned
from pkg.startup import wait_until_available
from pkg.storage import Storage
from pkg.token import TokenVerifier
from protos import video_pb2, video_pb2_grpc
from services.buckets import BUCKETS
from services.presenters import Presenter
from services.video.handler import VideoHandler
from services.video.leases import Leases
from services.video.settings import VideoProcessSettings
from services.video.uploads import Uploads
from services.video.worker import Worker


@asynccontextmanager
async def compose(settings: VideoProcessSettings) -> AsyncIterator[Composition]:
    """Open what the service needs and put its handler and workers together."""
    verifier = TokenVerifier(settings.token)
    media = MediaTool(settings.media)
    woken = asyncio.Event()
    remove_abandoned(settings.video.spool_dir)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings.mysql))
        actions = await stack.enter_async_context(open_redis(settings.redis_actions))
        storage = await stack.enter_async_context(Storage(settings.storage))
        await wait_until_available("storage", partial(storage.ensure_buckets, BUCKETS))
        leases = Leases(database, lease_s=settings.video.lease_s)
        uploads = Uploads(
            database=database,
            storage=storage,
            leases=leases,
            settings=settings.video,
            on_uploaded=woken.set,
        )
        workers = [
            Worker(
                database=database,
                storage=storage,
                media=media,
                leases=leases,
                settings=settings.video,
                woken=woken,
            )
            for _ in range(settings.media.max_parallel)
        ]
        handler = VideoHandler(
            database=database,
            uploads=uploads,
            presenter=Presenter(database, ViewerFlags(database, Overlay(actions))),
            verifier=verifier,
        )
        yield Composition(
            add_to_server=lambda server: video_pb2_grpc.add_VideoServiceServicer_to_server(
                handler, server
            ),
            background=[database.check_replicas, *(worker.run for worker in workers)],
        )


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            name="video",
            descriptor=video_pb2.DESCRIPTOR.services_by_name["VideoService"],
            settings_class=VideoProcessSettings,
            compose=compose,
        )
    )
