"""A phone that uploads over real gRPC, and what the service has of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from sqlalchemy import select

from dal.db.models import Video
from pkg.media import HEAD_SIZE
from pkg.rpc.status import decode_error
from pkg.storage import Storage
from protos.video_pb2 import PublishActionRequest
from services.buckets import VIDEO_UPLOADS_BUCKET
from services.video.outcomes import Outcomes
from tests.stored_objects import StoredObjects
from tests.videos import Videos

if TYPE_CHECKING:
    from protos.video_pb2_grpc import VideoServiceAsyncStub

LEASE_S = 1.0
MAX_UNFINISHED = 10
MAX_WAITING = 4
MIB = 1024 * 1024


class Phone:
    """Publishes as one user; errors come as they were raised."""

    def __init__(self, stub: "VideoServiceAsyncStub", token: str) -> None:
        self._stub = stub
        self.token = token
        self.sent = 0  # messages that were taken from us

    async def publish(
        self,
        chunks: Sequence[bytes],
        *,
        size: int | None = None,
        title: str = "标题",
        token: str | None = None,
    ) -> int:
        """Send everything, the beginning in the first message, and the rest once that is accepted."""
        first = PublishActionRequest(
            token=self.token if token is None else token,
            title=title,
            size=sum(map(len, chunks)) if size is None else size,
            data=b"".join(chunks)[:HEAD_SIZE],
        )
        rest = cut_off(chunks, HEAD_SIZE)
        return await self.send([first], [PublishActionRequest(data=chunk) for chunk in rest])

    async def send(
        self, at_once: Sequence[PublishActionRequest], later: Sequence[PublishActionRequest] = ()
    ) -> int:
        async def stream() -> AsyncIterator[PublishActionRequest]:
            for message in at_once:
                self.sent += 1
                yield message
            if later and await is_accepted(call):
                for message in later:
                    self.sent += 1
                    yield message

        call = self._stub.PublishAction(stream(), timeout=20)
        try:
            return (await call).video_id
        except grpc.aio.AioRpcError as exc:
            raise decode_error(exc) from exc


async def is_accepted(call: Any) -> bool:
    """Wait for the verdict on the beginning of an upload."""
    if ("x-upload", "accepted") in tuple(await call.initial_metadata()):
        return True
    await call.code()
    return False


def cut_off(chunks: Sequence[bytes], size: int) -> list[bytes]:
    """Return the chunks without their first `size` bytes."""
    rest = []
    for chunk in chunks:
        rest.append(chunk[size:])
        size = max(0, size - len(chunk))
    return [chunk for chunk in rest if chunk]


@dataclass
class UploadService:
    """The service that takes uploads, and what it leaves."""

    phone: Phone
    stub: "VideoServiceAsyncStub"
    videos: Videos
    storage: Storage
    stored_objects: StoredObjects
    spool_dir: Path
    woken: asyncio.Event
    outcomes: Outcomes

    async def rows(self) -> list[int]:
        async with self.videos.database.read_source() as connection:
            return list(await connection.scalars(select(Video.id)))

    async def objects(self) -> list[str]:
        return await self.stored_objects.list_keys(VIDEO_UPLOADS_BUCKET)

    def spooled_bytes(self) -> int:
        """Count what this process holds in files without a name, and in ones with a name."""
        held = 0
        for descriptor in Path("/proc/self/fd").iterdir():
            try:
                if descriptor.readlink().parent == self.spool_dir:
                    held += descriptor.stat().st_size
            except OSError:
                continue
        named = self.spool_dir.iterdir() if self.spool_dir.exists() else ()
        return held + sum(path.stat().st_size for path in named)


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


async def assert_nothing_left(upload_service: UploadService) -> None:
    assert await upload_service.rows() == []
    assert await upload_service.objects() == []
    assert upload_service.spooled_bytes() == 0
    assert not upload_service.woken.is_set()
