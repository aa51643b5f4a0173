"""Sample videos, the service that takes uploads, and a worker that processes them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from pkg.media import MediaTool
from pkg.spool import Spool
from pkg.token import TokenIssuer, TokenVerifier
from protos.video_pb2_grpc import VideoServiceStub, add_VideoServiceServicer_to_server
from services.buckets import VIDEO_UPLOADS_BUCKET
from services.identity import Viewers
from services.presenters import Presenter
from services.video.handler import VideoHandler
from services.video.leases import Leases
from services.video.uploads import Uploads
from tests.media_samples import cut, make_audio, make_video
from tests.services.video.processing import LEASE_S, Processing
from tests.services.video.uploading import LEASE_S as UPLOAD_LEASE_S
from tests.services.video.uploading import MIB, Phone, UploadService
from tests.serving import serving


@pytest.fixture(scope="session")
def video_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_video(tmp_path_factory.mktemp("upload") / "video.mp4", seconds=0.2).read_bytes()


@pytest.fixture
async def upload_service(
    storage, stored_objects, videos, actions_redis, *, settings, tmp_path: Path
) -> AsyncIterator[UploadService]:
    database = videos.database
    for key in await stored_objects.list_keys(VIDEO_UPLOADS_BUCKET):
        await storage.delete(VIDEO_UPLOADS_BUCKET, key)
    woken = asyncio.Event()
    uploads = Uploads(
        database=database,
        storage=storage,
        leases=Leases(database, lease_s=UPLOAD_LEASE_S),
        max_bytes=16 * MIB,
        spool=Spool(tmp_path / "spool", settings.video.spool),
        on_uploaded=woken.set,
    )
    presenter = Presenter(database, ViewerFlags(database, Overlay(actions_redis)))
    handler = VideoHandler(
        database=database,
        uploads=uploads,
        presenter=presenter,
        viewers=Viewers(TokenVerifier(settings.token), database),
    )
    async with serving(
        lambda server: add_VideoServiceServicer_to_server(handler, server)
    ) as channel:
        stub = VideoServiceStub(channel)
        phone = Phone(stub, TokenIssuer(settings.token).issue(videos.author_id))
        yield UploadService(phone, stub, videos, storage, stored_objects, tmp_path / "spool", woken)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a video with its index at the end, a broken one, one without a picture, and one that takes a while."""
    folder = tmp_path_factory.mktemp("samples")
    video = make_video(folder / "video.mp4", options="", seconds=0.4)
    cut(folder / "broken.mp4", video, size=video.stat().st_size * 2 // 3)
    make_audio(folder / "audio.mp4")
    make_video(folder / "slow.avi", video="mpeg4", audio="mp3", seconds=3, size="1280x720")
    return folder


@pytest.fixture
async def processing(settings, videos, storage, tmp_path: Path) -> Processing:
    changes = {"spool_dir": tmp_path / "spool", "job_interval_s": 0.1, "lease_s": LEASE_S}
    return Processing(
        videos=videos,
        storage=storage,
        settings=settings.video.model_copy(update=changes),
        media=MediaTool(settings.media),
        base_url=f"http://127.0.0.1:{settings.storage.port}",
    )
