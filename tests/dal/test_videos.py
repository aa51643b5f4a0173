"""Videos as a feed: one publication, one order."""

import asyncio
import itertools
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from dal.db import newest
from dal.db.accounts import AccountState, set_account_state
from dal.db.models import User, Video
from dal.db.upload_jobs import LeaseLost
from dal.db.videos import (
    list_videos,
    list_videos_of_author,
    map_videos_of_authors,
    require_video,
)
from pkg.clock import now_ms
from pkg.errors import VideoNotFound
from pkg.paging import FROM_THE_START


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
    assert (row.id, row.published_at_ms) == of_author
    assert (row.play_key, row.cover_key) == (video.keys.play, video.keys.cover)
    await videos.let_pass(2**40)
    assert await videos.claim() is None


@pytest.mark.parametrize("few", [0, 1, 2, 60])
async def test_lists_that_are_read_together_are_those_that_are_read_alone(
    videos, make_user, monkeypatch, few
):
    monkeypatch.setattr(newest, "FEW", few)
    counts = {await make_user(): count for count in range(4)}
    for videos.author_id, count in counts.items():
        for _ in range(count):
            await videos.add_published()
    gone = await make_user()
    async with videos.database.write() as connection:
        await set_account_state(connection, gone, AccountState.DELETED)
        # A counter that is wrong costs time, and nothing else.
        await connection.execute(update(User).where(User.id == max(counts)).values(work_count=0))

    async with videos.database.read_source() as connection:
        together = await map_videos_of_authors(connection, [*counts, gone, 2**52], limit=9)
        alone = {
            author_id: await list_videos_of_author(
                connection, author_id=author_id, before_ms=FROM_THE_START, limit=9
            )
            for author_id in counts
        }

    assert together == alone
    assert [len(together[author_id]) for author_id in counts] == list(counts.values())


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
