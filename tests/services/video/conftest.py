"""Sample videos, the service that takes uploads, and a worker that processes them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dal.db.engine import Database
from dal.redis.changes import ChangeLog
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from pkg.spool import Spool
from pkg.storage import Storage
from pkg.token import TokenIssuer, TokenVerifier
from protos.video_pb2_grpc import VideoServiceStub, add_VideoServiceServicer_to_server
from services.buckets import VIDEO_UPLOADS_BUCKET
from services.identity import Viewers
from services.presenters import Presenter
from services.video.handler import VideoHandler
from services.video.leases import Leases
from services.video.outcomes import Outcomes
from services.video.timeline import Timeline
from services.video.uploads import Uploads
from tests.media_samples import cut, make_audio, make_video
from tests.services.video.processing import Processing, make_processing
from tests.services.video.uploading import LEASE_S as UPLOAD_LEASE_S
from tests.services.video.uploading import MAX_UNFINISHED, MAX_WAITING, MIB, Phone, UploadService
from tests.serving import serving
from tests.stored_objects import StoredObjects


@pytest.fixture(scope="session")
def video_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_video(tmp_path_factory.mktemp("upload") / "video.mp4", seconds=0.2).read_bytes()


async def delete_uploads(storage: Storage, stored_objects: StoredObjects) -> None:
    for key in await stored_objects.list_keys(VIDEO_UPLOADS_BUCKET):
        await storage.delete(VIDEO_UPLOADS_BUCKET, key)


def make_handler(
    database: Database, uploads: Uploads, outcomes: Outcomes, *, actions_redis: Any, settings: Any
) -> VideoHandler:
    return VideoHandler(
        database=database,
        uploads=uploads,
        outcomes=outcomes,
        timeline=Timeline(database),
        changes=ChangeLog(actions_redis),
        presenter=Presenter(database, ViewerFlags(database, Overlay(actions_redis))),
        viewers=Viewers(TokenVerifier(settings.token), database),
    )


@pytest.fixture
def publish_wait_s() -> float:
    """Short: most tests ask for what is stored, and no worker runs."""
    return 0.1


@pytest.fixture
async def upload_service(
    storage,
    stored_objects,
    videos,
    actions_redis,
    *,
    settings,
    publish_wait_s: float,
    tmp_path: Path,
) -> AsyncIterator[UploadService]:
    await delete_uploads(storage, stored_objects)
    woken = asyncio.Event()
    uploads = Uploads(
        database=videos.database,
        storage=storage,
        leases=Leases(videos.database, lease_s=UPLOAD_LEASE_S),
        max_bytes=16 * MIB,
        max_unfinished=MAX_UNFINISHED,
        spool=Spool(tmp_path / "spool", settings.video.spool),
        on_uploaded=woken.set,
    )
    outcomes = Outcomes(videos.database, wait_s=publish_wait_s, max_waiting=MAX_WAITING)
    handler = make_handler(
        videos.database, uploads, outcomes, actions_redis=actions_redis, settings=settings
    )
    async with serving(
        lambda server: add_VideoServiceServicer_to_server(handler, server)
    ) as channel:
        stub = VideoServiceStub(channel)
        phone = Phone(stub, TokenIssuer(settings.token).issue(videos.author_id))
        yield UploadService(
            phone,
            stub,
            videos=videos,
            storage=storage,
            stored_objects=stored_objects,
            spool_dir=tmp_path / "spool",
            woken=woken,
            outcomes=outcomes,
        )


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a video with its index at the end, a broken one, one without a picture, one that must be encoded, and
    one of which that takes a while."""
    folder = tmp_path_factory.mktemp("samples")
    video = make_video(folder / "video.mp4", options="", seconds=0.4)
    cut(folder / "broken.mp4", video, size=video.stat().st_size * 2 // 3)
    make_audio(folder / "audio.mp4")
    make_video(folder / "old.avi", video="mpeg4", audio="mp3", seconds=0.2)
    make_video(folder / "slow.avi", video="mpeg4", audio="mp3", seconds=3, size="1280x720")
    return folder


@pytest.fixture
async def processing(settings, videos, storage, tmp_path: Path) -> Processing:
    return make_processing(settings, videos, storage, tmp_path)
