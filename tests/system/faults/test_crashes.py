"""SIGKILL of the video service at the worst moments: nothing is lost, nothing is left, nothing is done twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from dal.db.engine import Database
from dal.db.models import Video, VideoStatus
from scripts.stack.processes import is_alive
from tests.eventually import eventually
from tests.system.app import App, read_envelope, read_refusal, succeeded
from tests.system.publishing import Remains, begin_publish, wait_failed, wait_published
from tests.system.system import System

# The app gives up after 5 s.
ANSWERED_WITHIN_S = 4.5


async def wait_storing(database: Database, author: App) -> int:
    """Wait until an upload of this author is on its way into storage; return its id."""

    async def storing() -> int | None:
        async with database.read_source() as connection:
            found = await connection.execute(
                select(Video.id).where(
                    Video.author_id == author.user_id, Video.status == VideoStatus.UPLOADING
                )
            )
            return found.scalar_one_or_none()

    return await eventually(storing, within_s=30)


async def wait_encoding(system: System) -> int:
    """Wait until ffmpeg works on a video; return its process id."""

    async def encoding() -> int | None:
        return next(iter(system.list_ffmpeg()), None)

    return await eventually(encoding, within_s=60, interval_s=0.02)


@pytest.mark.parametrize("size", ["1mb", "45mb"])
async def test_killed_while_storing_it_tells_the_upload_as_failed_and_leaves_nothing(
    system: System,
    author: App,
    *,
    database: Database,
    remains: Remains,
    request: pytest.FixtureRequest,
    size: str,
) -> None:
    path: Path = request.getfixturevalue(f"video_{size}")

    with system.frozen("s3"):
        upload = asyncio.create_task(author.send_video(path))
        video_id = await wait_storing(database, author)
        system.kill("video")
        # Nobody knows whether it was stored: the app must not believe that it was.
        read_refusal(await upload, 503)

    told = await wait_failed(author, video_id, within_s=60)
    assert told["reason"]
    assert (await author.user(author.user_id))["work_count"] == 0
    await remains.check(rows=1)


async def test_an_upload_into_frozen_storage_ends_in_time_and_leaves_nothing(
    system: System, author: App, *, database: Database, remains: Remains, video_1mb: Path
) -> None:
    with system.frozen("s3"):
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            upload = asyncio.create_task(author.send_video(video_1mb))
            video_id = await wait_storing(database, author)
            read_refusal(await upload, 503)

        async def cleaning_waits() -> bool:
            lines = system.read_log("video").splitlines()
            return any("waits for a server" in line and f"={video_id} " in line for line in lines)

        # The storage has both requests before it: to store the upload, and to delete it.
        await eventually(cleaning_waits, within_s=30)

    assert (await wait_failed(author, video_id))["reason"]
    await remains.wait_clean(rows=1)


async def test_killed_while_processing_it_publishes_exactly_once_and_leaves_nothing(
    system: System, author: App, viewer: App, *, slow_video: Path, remains: Remains
) -> None:
    video_id, replying = await begin_publish(author, slow_video)
    ffmpeg = await wait_encoding(system)

    system.kill("video")

    # The reply was still waiting, or had gone out: the upload is safe in both cases.
    assert (await replying).status_code in {200, 503}

    async def ended() -> bool:
        return not is_alive(ffmpeg)

    await eventually(ended, within_s=20)
    card = await wait_published(author, video_id)
    shown = await viewer.walk_feed()
    assert [video["id"] for video in shown].count(video_id) == 1
    assert [video["id"] for video in await viewer.videos_of(author.user_id)] == [video_id]
    assert card["author"]["work_count"] == 1
    assert (await viewer.load(card["play_url"])).status_code == 200
    await remains.check(rows=1, objects=2)


async def test_killed_again_and_again_it_still_publishes(
    system: System, author: App, viewer: App, *, phone: Callable[[], App], slow_video: Path
) -> None:
    video_id, replying = await begin_publish(author, slow_video)
    for _ in range(2):
        await wait_encoding(system)
        system.kill("video")
        await replying
        await asyncio.to_thread(system.stack.wait_ready, "video")

    card = await wait_published(author, video_id)

    assert card["author"]["work_count"] == 1
    assert (await viewer.load(card["cover_url"])).status_code == 200


async def test_stopped_in_good_order_it_gives_its_work_back_at_once(
    system: System, author: App, *, slow_video: Path, remains: Remains
) -> None:
    video_id, replying = await begin_publish(author, slow_video)
    ffmpeg = await wait_encoding(system)

    await asyncio.to_thread(system.stack.stop, "video")

    assert succeeded(read_envelope(await replying))["video_id"] == video_id
    assert not is_alive(ffmpeg)
    await asyncio.to_thread(system.stack.start, "video")
    await wait_published(author, video_id)
    await remains.check(rows=1, objects=2)
