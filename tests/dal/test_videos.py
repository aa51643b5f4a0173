"""Videos as jobs and as a feed: one holder at a time, one publication, one order."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, delete, event, insert, text

from dal.db.engine import make_url
from dal.db.models import Video, VideoStatus
from dal.db.videos import (
    LeaseLost,
    claim_video,
    condemn_video,
    fail_video,
    list_feed,
    list_publications,
    list_videos,
    list_videos_of_author,
    mark_uploaded,
    publish_video,
    release_video,
    renew_lease,
    require_video,
)
from pkg.clock import now_ms
from pkg.errors import VideoNotFound
from pkg.paging import FROM_THE_START
from tests.videos import LEASE_MS, Videos


@pytest.fixture
async def videos(database, make_user) -> Videos:
    """No video is there at the beginning."""
    async with database.write() as connection:
        await connection.execute(delete(Video))
    return Videos(database, await make_user())


async def test_an_upload_is_nobodys_job_until_it_is_stored(videos):
    upload = await videos.upload()
    assert await videos.claim() is None

    async with videos.database.write() as connection:
        await mark_uploaded(connection, upload)

    claimed = await videos.claim()
    assert claimed.id == upload.id
    assert claimed.keys == upload.keys
    assert claimed.attempts == 1
    assert claimed.failure_reason == ""


async def test_an_upload_whose_receiver_died_is_claimed_when_its_lease_is_over(videos):
    upload = await videos.upload()
    status = VideoStatus.UPLOADING
    assert await videos.claim(status=status) is None

    claimed = await videos.claim(status=status, at_ms=now_ms() + LEASE_MS + 1)

    assert claimed.id == upload.id
    with pytest.raises(LeaseLost):
        async with videos.database.write() as connection:
            await mark_uploaded(connection, upload)


async def test_the_oldest_job_comes_first(videos):
    ids = [await videos.add_job() for _ in range(3)]

    claimed = [await videos.claim() for _ in range(3)]
    assert [video and video.id for video in claimed] == ids


async def test_many_workers_never_get_the_same_job(videos):
    ids = await asyncio.gather(*(videos.add_job() for _ in range(24)))

    async def work() -> list[int]:
        claimed = []
        while (video := await videos.claim()) is not None:
            claimed.append(video.id)
        return claimed

    claimed = await asyncio.gather(*(work() for _ in range(6)))

    # A worker finds nothing while others hold the last rows locked; nothing is lost by that.
    everything = [video_id for batch in claimed for video_id in batch] + await work()
    assert sorted(everything) == sorted(ids)


async def test_workers_do_not_wait_for_each_other(videos):
    first, second = await videos.add_job(), await videos.add_job()
    async with videos.database.write() as connection:
        held = await claim_video(
            connection,
            status=VideoStatus.PROCESSING,
            now_ms=now_ms(),
            lease_token="a",
            lease_expires_at_ms=now_ms() + LEASE_MS,
        )
        assert held
        assert held.id == first

        other = await videos.claim()
        assert other
        assert other.id == second
        assert await videos.claim() is None


async def test_a_job_is_claimed_again_when_its_lease_is_over(videos):
    await videos.add_job()
    first = await videos.claim(lease_ms=1000)
    assert await videos.claim() is None

    again = await videos.claim(at_ms=now_ms() + 2000)

    assert again.id == first.id
    assert again.attempts == 2
    assert again.lease_token != first.lease_token


async def test_a_renewed_lease_keeps_the_job(videos):
    await videos.add_job()
    video = await videos.claim(lease_ms=1000)

    async with videos.database.write() as connection:
        await renew_lease(connection, video, lease_expires_at_ms=now_ms() + LEASE_MS)

    assert await videos.claim(at_ms=now_ms() + 2000) is None


@pytest.mark.parametrize(
    "change",
    [
        mark_uploaded,
        lambda connection, video: renew_lease(connection, video, lease_expires_at_ms=2**50),
        lambda connection, video: release_video(connection, video, retry_at_ms=0, counts=True),
        lambda connection, video: condemn_video(connection, video, reason="x"),
        lambda connection, video: publish_video(connection, video, now_ms=now_ms()),
        fail_video,
    ],
    ids=["mark_uploaded", "renew", "release", "condemn", "publish", "fail"],
)
async def test_who_has_lost_the_lease_changes_nothing(videos, change):
    video_id = await videos.add_job()
    late = await videos.claim(lease_ms=0)
    holder = await videos.claim(at_ms=now_ms() + 1000)
    before = await videos.row(video_id)

    with pytest.raises(LeaseLost):
        async with videos.database.write() as connection:
            await change(connection, late)

    assert await videos.row(video_id) == before
    assert await videos.work_count() == 0
    assert await videos.publish(holder) > 0


@pytest.mark.parametrize(("counts", "attempts"), [(True, 2), (False, 1)])
async def test_an_attempt_that_does_not_count_is_as_if_never_made(videos, counts, attempts):
    await videos.add_job()
    video = await videos.claim()
    retry_at_ms = now_ms() + 1000

    async with videos.database.write() as connection:
        await release_video(connection, video, retry_at_ms=retry_at_ms, counts=counts)

    assert await videos.claim(at_ms=retry_at_ms) is None
    assert (await videos.claim(at_ms=retry_at_ms + 1)).attempts == attempts


async def test_a_condemned_video_keeps_its_reason_for_whoever_cleans_up(videos):
    video_id = await videos.add_job()
    video = await videos.claim(lease_ms=0)
    async with videos.database.write() as connection:
        await condemn_video(connection, video, reason="坏了")

    cleaner = await videos.claim(at_ms=now_ms() + 1000)
    assert cleaner.failure_reason == "坏了"
    async with videos.database.write() as connection:
        await fail_video(connection, cleaner)

    async with videos.database.read_source() as connection:
        (told,) = await list_publications(
            connection, author_id=videos.author_id, video_id=None, before_id=2**60, limit=9
        )
    assert (told.id, told.status, told.failure_reason) == (video_id, VideoStatus.FAILED, "坏了")
    assert await videos.claim(at_ms=2**50) is None
    assert await videos.feed() == []


async def test_publication_shows_in_feed_list_and_count_together_and_once(videos):
    video_id = await videos.add_job()
    video = await videos.claim()
    async with videos.database.read_source() as connection:
        with pytest.raises(VideoNotFound):
            await require_video(connection, video_id)

    published_at_ms = await videos.publish(video)
    with pytest.raises(LeaseLost):
        await videos.publish(video)

    assert await videos.feed() == [published_at_ms]
    assert await videos.work_count() == 1
    async with videos.database.read_source() as connection:
        await require_video(connection, video_id)
        (row,) = await list_videos(connection, [video_id, 2**52])
        (of_author,) = await list_videos_of_author(
            connection, author_id=videos.author_id, before_ms=FROM_THE_START, limit=9
        )
    assert row == of_author
    assert (row.play_key, row.cover_key) == (video.keys.play, video.keys.cover)
    assert await videos.claim(at_ms=2**50) is None


async def test_publication_times_differ_and_grow_also_when_the_clock_stands_or_jumps_back(videos):
    now = now_ms()

    times = [await videos.add_published(at_ms=at) for at in (now, now, now - 3_600_000, now, 1)]

    assert times == sorted(set(times))
    assert await videos.feed() == times[::-1]


async def test_what_is_published_later_is_newer_than_all_that_anybody_has_seen(videos):
    claimed = []
    for _ in range(16):
        await videos.add_job()
        claimed.append(await videos.claim())
    frozen_clock = now_ms()
    seen: list[list[int]] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            seen.append(await videos.feed())

    watching = asyncio.create_task(watch())
    times = await asyncio.gather(
        *(videos.publish(video, at_ms=frozen_clock - i) for i, video in enumerate(claimed))
    )
    done.set()
    await watching

    assert len(set(times)) == 16
    assert await videos.work_count() == 16
    final = await videos.feed()
    for earlier in seen:
        # What somebody saw is an end of the feed as it is now: nothing came in between.
        assert earlier == final[len(final) - len(earlier) :]


@dataclass(frozen=True)
class Walk:
    """How many videos are there, how long a page is, and what is published between the pages."""

    there: int
    page: int
    meanwhile: list[int]
    clock: list[int]  # readings of a clock that jumps, relative to now


WALKS = st.builds(
    Walk,
    there=st.integers(0, 9),
    page=st.integers(1, 4),
    meanwhile=st.lists(st.integers(0, 2), max_size=8),
    clock=st.lists(st.integers(-5000, 5), min_size=1, max_size=4),
)


@given(walk=WALKS)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_a_walk_shows_what_was_there_exactly_once_while_others_publish(videos, walk):
    async with videos.database.write() as connection:
        await connection.execute(delete(Video))
    readings = itertools.cycle(now_ms() + reading for reading in walk.clock)
    there = [await videos.add_published(at_ms=next(readings)) for _ in range(walk.there)]
    seen: list[int] = []
    before_ms = FROM_THE_START
    publications = iter(walk.meanwhile)

    while times := await videos.feed(before_ms=before_ms, limit=walk.page):
        seen += times
        before_ms = times[-1]
        for _ in range(next(publications, 0)):
            await videos.add_published(at_ms=next(readings))

    assert seen == there[::-1]


@contextmanager
def recorded_statements() -> Iterator[list[tuple[str, Any]]]:
    """Give the statements that run meanwhile, with their parameters."""
    found: list[tuple[str, Any]] = []

    def record(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", record)


@pytest.fixture(scope="module")
def crowd(settings) -> Iterator[None]:
    """Thousands of videos, so that a plan without an index would be dear."""
    first = 1_600_000_000_000
    rows = [
        {
            "author_id": 900_000 + number % 50,
            "title": "t",
            "upload_key": "",
            "play_url": "",
            "cover_url": "",
            "status": "published" if number % 10 else "processing",
            "published_at_ms": first + number if number % 10 else None,
            "created_at_ms": first,
            "lease_expires_at_ms": 2**50,
        }
        for number in range(5000)
    ]
    mysql = settings.mysql
    engine = create_engine(make_url(mysql, driver="pymysql", host=mysql.host, port=mysql.port))
    with engine.begin() as connection:
        connection.execute(insert(Video), rows)
        connection.execute(text("ANALYZE TABLE videos"))
    yield
    with engine.begin() as connection:
        connection.execute(delete(Video).where(Video.author_id >= 900_000))
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            lambda c: list_feed(c, before_ms=1_600_000_002_500, limit=30),
            "uq_videos_published_at_ms",
        ),
        (lambda c: list_feed(c, before_ms=FROM_THE_START, limit=30), "uq_videos_published_at_ms"),
        (
            lambda c: list_videos_of_author(
                c, author_id=900_007, before_ms=FROM_THE_START, limit=100
            ),
            "ix_videos_author_published",
        ),
        (
            lambda c: list_publications(
                c, author_id=900_007, video_id=None, before_id=2**60, limit=100
            ),
            "ix_videos_author_id",
        ),
        (
            lambda c: claim_video(
                c,
                status=VideoStatus.PROCESSING,
                now_ms=now_ms(),
                lease_token="t",
                lease_expires_at_ms=0,
            ),
            "ix_videos_claim",
        ),
    ],
    ids=["feed", "feed from the start", "of an author", "publications", "claim"],
)
@pytest.mark.usefixtures("crowd")
async def test_a_list_is_read_from_its_index_in_order(database, query, index):
    async with database.read_source() as connection:
        with recorded_statements() as statements:
            await query(connection)
        ((statement, parameters),) = statements
        plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        (step,) = plan.mappings().all()

    assert step["key"] == index
    assert step["type"] in {"range", "ref"}
    assert "filesort" not in step["Extra"]
    assert "temporary" not in step["Extra"]
