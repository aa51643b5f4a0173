"""Uploads over real gRPC into real storage: safe when answered, gone when not."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from sqlalchemy import func, select, update

from dal.db.models import User, Video, VideoStatus
from dal.registers.flags import ViewerFlags
from pkg.containers import HEAD_SIZE
from pkg.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
    InvalidParameter,
    PayloadTooLarge,
    Unauthenticated,
    UnsupportedVideo,
    UserNotFound,
)
from pkg.rpc.status import decode_error
from pkg.storage import Storage
from pkg.token import TokenIssuer, TokenVerifier
from protos.video_pb2 import PublishActionRequest
from protos.video_pb2_grpc import VideoServiceStub, add_VideoServiceServicer_to_server
from services.buckets import VIDEO_UPLOADS_BUCKET
from services.presenters import Presenter
from services.video.handler import VideoHandler
from services.video.leases import Leases
from services.video.settings import VideoSettings
from services.video.uploads import Uploads
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.freezing import frozen
from tests.media_samples import HLS_PLAYLIST, make_video
from tests.serving import serving
from tests.videos import Videos

if TYPE_CHECKING:
    from protos.video_pb2_grpc import VideoServiceAsyncStub

LEASE_S = 1.0
MIB = 1024 * 1024
RANDOM_KEY = re.compile(r"[0-9a-f]{40}(\.mp4|\.jpg)?")


@pytest.fixture(scope="module")
def video_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_video(tmp_path_factory.mktemp("upload") / "video.mp4", seconds=0.2).read_bytes()


@pytest.fixture
def video_settings(settings: AllSettings, tmp_path: Path) -> VideoSettings:
    changes = {"spool_dir": tmp_path / "spool", "max_upload_mb": 16}
    return settings.video.model_copy(update=changes)


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
class Desk:
    """The service that takes uploads, and what it leaves."""

    phone: Phone
    stub: "VideoServiceAsyncStub"
    videos: Videos
    storage: Storage
    spool_dir: Path
    woken: asyncio.Event

    async def rows(self) -> list[int]:
        async with self.videos.database.read_source() as connection:
            return list(await connection.scalars(select(Video.id)))

    async def objects(self) -> list[str]:
        return await self.storage.list_keys(VIDEO_UPLOADS_BUCKET, limit=1000)

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


@pytest.fixture
async def desk(storage, videos, settings, video_settings) -> AsyncIterator[Desk]:
    database = videos.database
    for key in await storage.list_keys(VIDEO_UPLOADS_BUCKET, limit=1000):
        await storage.delete(VIDEO_UPLOADS_BUCKET, key)
    woken = asyncio.Event()
    uploads = Uploads(
        database=database,
        storage=storage,
        leases=Leases(database, lease_s=LEASE_S),
        settings=video_settings,
        on_uploaded=woken.set,
    )
    presenter = Presenter(database, ViewerFlags(database))
    handler = VideoHandler(
        database=database,
        uploads=uploads,
        presenter=presenter,
        verifier=TokenVerifier(settings.token),
    )
    async with serving(
        lambda server: add_VideoServiceServicer_to_server(handler, server)
    ) as channel:
        stub = VideoServiceStub(channel)
        phone = Phone(stub, TokenIssuer(settings.token).issue(videos.author_id))
        yield Desk(phone, stub, videos, storage, video_settings.spool_dir, woken)


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize("size", [61, 4095, 4096, 4097, 256 * 1024, 2**30])
async def test_an_upload_is_stored_as_it_was_sent_however_it_was_cut(
    desk, video_bytes, tmp_path, size
):
    first = PublishActionRequest(token=desk.phone.token, title=" 第一个🐶 ", size=len(video_bytes))
    chunks = [PublishActionRequest(data=chunk) for chunk in cut(video_bytes, size)]

    video_id = await desk.phone.send([first, *chunks])

    row = await desk.videos.row(video_id)
    assert (row.status, row.title) == (VideoStatus.PROCESSING, "第一个🐶")
    assert row.author_id == desk.videos.author_id
    await desk.storage.get_file(VIDEO_UPLOADS_BUCKET, row.upload_key, tmp_path / "stored")
    assert (tmp_path / "stored").read_bytes() == video_bytes
    assert desk.woken.is_set()
    assert desk.spooled_bytes() == 0
    claimed = await desk.videos.claim()
    assert (claimed.id, claimed.attempts) == (video_id, 1)


async def test_data_may_come_with_the_first_message_and_some_may_be_empty(desk, video_bytes):
    messages = [
        PublishActionRequest(
            token=desk.phone.token, title="t", size=len(video_bytes), data=video_bytes[:10]
        ),
        PublishActionRequest(),
        PublishActionRequest(data=video_bytes[10:]),
        PublishActionRequest(),
    ]

    assert await desk.phone.send(messages)


async def test_keys_are_never_made_of_titles_or_names(desk, video_bytes):
    ids = [await desk.phone.publish([video_bytes], title="secret title") for _ in range(2)]

    rows = [await desk.videos.row(video_id) for video_id in ids]
    keys = [key for row in rows for key in (row.upload_key, row.play_url, row.cover_url)]
    assert len(set(keys)) == 6
    assert all(RANDOM_KEY.fullmatch(key) for key in keys)
    assert all(len(key) >= 32 for key in keys)


async def assert_nothing_left(desk: Desk) -> None:
    assert await desk.rows() == []
    assert await desk.objects() == []
    assert desk.spooled_bytes() == 0
    assert not desk.woken.is_set()


@pytest.mark.parametrize("difference", [-1, 1, 100_000])
async def test_a_stream_of_another_length_than_announced_is_refused(desk, video_bytes, difference):
    with pytest.raises(InvalidParameter):
        await desk.phone.publish([video_bytes], size=len(video_bytes) + difference)

    await assert_nothing_left(desk)


async def test_no_content_is_no_video(desk):
    for chunks in ([], [b""], [b"", b""]):
        with pytest.raises(UnsupportedVideo):
            await desk.phone.publish(chunks)

    await assert_nothing_left(desk)


async def test_a_stream_without_a_message_is_refused(desk):
    with pytest.raises(InvalidParameter):
        await desk.phone.send([])


@pytest.mark.parametrize(
    "beginning",
    [
        b"just a text, ",
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"GIF89a",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"ID3\x03",
        HLS_PLAYLIST,
        b"\x00\x00\x00\x1cftypheic" + bytes(40),
        bytes(64),
    ],
    ids=["text", "png", "jpeg", "gif", "pdf", "zip", "mp3", "playlist", "heic", "zeros"],
)
async def test_what_does_not_begin_like_a_video_is_refused_before_the_rest_is_sent(desk, beginning):
    chunks = cut(beginning.ljust(16 * MIB, beginning[-1:]), MIB // 16)

    with pytest.raises(UnsupportedVideo):
        await desk.phone.publish(chunks)

    assert desk.phone.sent == 1
    await assert_nothing_left(desk)


async def test_a_short_text_is_refused_too(desk):
    with pytest.raises(UnsupportedVideo):
        await desk.phone.publish([b"hello"])


async def test_more_than_the_limit_is_refused_when_it_is_announced(desk, video_bytes):
    with pytest.raises(PayloadTooLarge):
        await desk.phone.publish(cut(video_bytes + bytes(16 * MIB), MIB // 4))

    await assert_nothing_left(desk)


async def test_more_than_was_announced_is_refused_when_it_is_passed(desk, video_bytes):
    first = PublishActionRequest(token=desk.phone.token, title="t", size=len(video_bytes) + 5)
    done = asyncio.Event()

    async def endless() -> AsyncIterator[PublishActionRequest]:
        yield first
        yield PublishActionRequest(data=video_bytes + bytes(6))
        await done.wait()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.stub.PublishAction(endless(), timeout=10)
    done.set()

    assert type(decode_error(caught.value)) is InvalidParameter
    await assert_nothing_left(desk)


@pytest.mark.parametrize("title", ["", " \u3000", "x" * 51, "a\nb"])
async def test_a_title_that_breaks_a_rule_is_refused(desk, video_bytes, title):
    with pytest.raises(InvalidParameter, match="标题"):
        await desk.phone.publish([video_bytes], title=title)

    await assert_nothing_left(desk)


async def test_a_title_of_fifty_emoji_fits(desk, video_bytes):
    video_id = await desk.phone.publish([video_bytes], title="🐶" * 50)

    assert (await desk.videos.row(video_id)).title == "🐶" * 50


@pytest.mark.parametrize("token", ["", "junk"])
async def test_nobody_publishes_without_a_token(desk, video_bytes, token):
    with pytest.raises(Unauthenticated):
        await desk.phone.publish([video_bytes], token=token)

    await assert_nothing_left(desk)


async def test_a_deleted_account_publishes_nothing(desk, video_bytes):
    async with desk.videos.database.write() as connection:
        statement = update(User).where(User.id == desk.videos.author_id)
        await connection.execute(statement.values(deleted_at=func.now(3)))

    with pytest.raises(UserNotFound):
        await desk.phone.publish([video_bytes])


async def test_an_interrupted_stream_leaves_nothing(desk, video_bytes):
    async def endless() -> AsyncIterator[PublishActionRequest]:
        yield PublishActionRequest(token=desk.phone.token, title="t", size=MIB)
        yield PublishActionRequest(data=video_bytes[: MIB // 2])
        await asyncio.Event().wait()

    calling = asyncio.ensure_future(desk.stub.PublishAction(endless()))
    await eventually(lambda: desk.spooled_bytes() > 0)

    calling.cancel()
    await asyncio.wait({calling})

    await eventually(lambda: desk.spooled_bytes() == 0)
    await assert_nothing_left(desk)


async def test_the_row_is_there_before_the_first_byte_is_stored(servers, desk, video_bytes):
    await asyncio.to_thread(servers.stop, "s3")
    try:
        with pytest.raises(DependencyUnavailable):
            await desk.phone.publish([video_bytes])
    finally:
        await asyncio.to_thread(servers.start, "s3")

    (video_id,) = await desk.rows()
    row = await desk.videos.row(video_id)
    assert row.status == VideoStatus.UPLOADING
    assert row.upload_key
    # Whoever cleans up finds it when its lease is over.
    claimed = await desk.videos.claim(
        status=VideoStatus.UPLOADING, at_ms=row.lease_expires_at_ms + 1
    )
    assert claimed.id == video_id
    assert desk.spooled_bytes() == 0


async def test_a_slow_upload_keeps_its_lease(servers, desk, video_bytes):
    with frozen(servers.pid("s3")):
        publishing = asyncio.create_task(desk.phone.publish([video_bytes]))
        await eventually(desk.rows)
        (video_id,) = await desk.rows()
        first_end = (await desk.videos.row(video_id)).lease_expires_at_ms

        async def lease_was_renewed() -> bool:
            renewed = (await desk.videos.row(video_id)).lease_expires_at_ms
            return bool(renewed > first_end + 1000 * LEASE_S)

        await eventually(lease_was_renewed)
        assert await desk.videos.claim(status=VideoStatus.UPLOADING) is None

    assert await publishing == video_id
    assert (await desk.videos.row(video_id)).status == VideoStatus.PROCESSING


async def test_an_upload_that_lost_its_lease_is_no_success(servers, desk, video_bytes):
    with frozen(servers.pid("s3")):
        publishing = asyncio.create_task(desk.phone.publish([video_bytes]))
        await eventually(desk.rows)
        async with desk.videos.database.write() as connection:
            await connection.execute(update(Video).values(lease_token=secrets.token_hex(16)))

        with pytest.raises(DeadlineExceeded):
            await publishing

    (video_id,) = await desk.rows()
    assert (await desk.videos.row(video_id)).status == VideoStatus.UPLOADING
    assert not desk.woken.is_set()


async def test_many_uploads_at_once_do_not_mix(desk, video_bytes, tmp_path):
    contents = [video_bytes + bytes([number]) * 1000 for number in range(8)]

    ids = await asyncio.gather(*(desk.phone.publish(cut(c, 10_000)) for c in contents))

    for number, video_id in enumerate(ids):
        row = await desk.videos.row(video_id)
        await desk.storage.get_file(VIDEO_UPLOADS_BUCKET, row.upload_key, tmp_path / str(number))
        assert (tmp_path / str(number)).read_bytes() == contents[number]


async def test_a_disk_that_fails_is_told_as_such(desk, video_bytes):
    desk.spool_dir.write_bytes(b"no folder")

    with pytest.raises(DependencyUnavailable):
        await desk.phone.publish([video_bytes])

    assert await desk.rows() == []
