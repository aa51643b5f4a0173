"""Which upload comes next: fair between authors, and no job is begun twice."""

import asyncio

import pytest
from sqlalchemy import select, text, update

from dal.db.models import Video, VideoStatus
from dal.db.upload_jobs import (
    fail_video,
    list_outcomes,
    move_to_heavy_lane,
    renew_lease,
    set_failure_reason,
)
from dal.db.upload_queue import (
    count_unfinished,
    delete_old_failures,
    heavy_lane,
    list_waiting,
)
from tests.eventually import eventually
from tests.videos import LIGHT

HEAVY = heavy_lane(max_per_author=1)
MANY, OTHER, THIRD = 910_001, 910_002, 910_003
DAY_S = 24 * 3600


async def add_jobs(videos, *authors, cost_s=None):
    return [await videos.add_job(author_id=author, cost_s=cost_s) for author in authors]


async def claim_all(videos, lane):
    """Return the authors in the order in which their jobs are begun, each finished before the next."""
    authors = []
    while (video := await videos.claim(lane=lane)) is not None:
        authors.append(video.author_id)
        await videos.change(
            update(Video).where(Video.id == video.id).values(status=VideoStatus.FAILED)
        )
    return authors


async def failed_ids(videos):
    statement = select(Video.id).where(Video.status == VideoStatus.FAILED)
    async with videos.database.read_source() as connection:
        return set(await connection.scalars(statement))


@pytest.mark.parametrize("cost_s", [None, 100], ids=["light", "heavy"])
async def test_an_authors_second_job_comes_after_everybodys_first(videos, cost_s):
    await add_jobs(videos, MANY, MANY, MANY, OTHER, THIRD, cost_s=cost_s)

    authors = await claim_all(videos, HEAVY if cost_s else LIGHT)

    assert authors == [MANY, OTHER, THIRD, MANY, MANY]


async def test_whoever_used_much_lately_waits_for_whoever_used_little(videos):
    await add_jobs(videos, MANY, cost_s=1000)
    await add_jobs(videos, OTHER, cost_s=10)
    assert await claim_all(videos, HEAVY) == [MANY, OTHER]
    await add_jobs(videos, MANY, OTHER, OTHER, THIRD, cost_s=10)

    assert await claim_all(videos, HEAVY) == [THIRD, OTHER, OTHER, MANY]


async def test_what_was_used_long_ago_is_forgiven(videos):
    await add_jobs(videos, MANY, cost_s=1000)
    await claim_all(videos, HEAVY)
    hour_ago = Video.started_at_ms - (HEAVY.recent_s + 1) * 1000
    await videos.change(update(Video).values(started_at_ms=hour_ago))
    await add_jobs(videos, MANY, OTHER, cost_s=10)

    assert await claim_all(videos, HEAVY) == [MANY, OTHER]


async def test_one_author_never_holds_more_heavy_jobs_than_allowed(videos):
    await add_jobs(videos, MANY, MANY, MANY, OTHER, cost_s=100)

    claimed = [await videos.claim(lane=HEAVY) for _ in range(4)]

    assert [video and video.author_id for video in claimed] == [MANY, OTHER, None, None]
    await videos.let_pass(120)  # the holder died
    again = await videos.claim(lane=HEAVY)
    assert (again.author_id, again.attempts) == (MANY, 2)


async def test_workers_that_begin_at_once_keep_the_bound(videos):
    await add_jobs(videos, *[MANY] * 6, *[OTHER] * 6, cost_s=100)

    claimed = await asyncio.gather(*(videos.claim(lane=HEAVY) for _ in range(8)))

    authors = [video.author_id for video in claimed if video]
    assert sorted(authors) == [MANY, OTHER]


async def test_of_workers_that_have_seen_the_same_free_job_one_gets_it(videos):
    (video_id,) = await add_jobs(videos, MANY)
    async with videos.database.write() as holder:
        await holder.execute(select(Video.id).where(Video.id == video_id).with_for_update())
        claims = [asyncio.create_task(videos.claim()) for _ in range(4)]
        await eventually(lambda: are_updating(videos, len(claims)), within_s=1.5)

    claimed = await asyncio.gather(*claims)

    assert sorted(video.id for video in claimed if video) == [video_id]


async def are_updating(videos, count):
    """Whether so many claims wait for the lock of a row that they have read without one."""
    waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE videos%'"
    async with videos.database.read_source() as connection:
        return await connection.scalar(text(waiting)) == count


async def test_a_lane_takes_only_its_own_jobs(videos):
    (light,) = await add_jobs(videos, MANY)
    (heavy,) = await add_jobs(videos, OTHER, cost_s=100)

    assert (await videos.claim()).id == light
    assert await videos.claim() is None
    assert (await videos.claim(lane=HEAVY)).id == heavy


async def test_a_job_that_turns_out_to_be_heavy_changes_its_lane_without_an_attempt(videos):
    video_id = await videos.add_job()
    video = await videos.claim()

    async with videos.database.write() as connection:
        await move_to_heavy_lane(connection, video, cost_s=12.3)

    assert await videos.claim() is None
    assert (await videos.row(video_id)).cost_s == 13
    heavy = await videos.claim(lane=HEAVY)
    assert (heavy.id, heavy.attempts) == (video_id, 1)


async def test_the_queue_tells_the_place_of_each_waiting_job_in_its_lane(videos):
    heavy = await add_jobs(videos, MANY, MANY, MANY, OTHER, cost_s=100)
    light = await add_jobs(videos, MANY, OTHER)
    await videos.upload()

    async with videos.database.read_source() as connection:
        places = await list_waiting(connection)
    assert places == {heavy[0]: 1, heavy[3]: 2, heavy[1]: 3, heavy[2]: 4, light[0]: 1, light[1]: 2}

    await videos.claim(lane=HEAVY)
    async with videos.database.read_source() as connection:
        places = await list_waiting(connection)
    assert [places.get(job) for job in heavy] == [None, 2, 3, 1]


async def test_progress_is_told_with_the_lease_and_starts_again_with_the_next_attempt(videos):
    video_id = await videos.add_job()
    video = await videos.claim(lease_ms=1000)
    async with videos.database.write() as connection:
        await renew_lease(connection, video, lease_ms=1000, progress_percent=42)
    assert (await videos.row(video_id)).progress_percent == 42

    await videos.let_pass(2)
    await videos.claim()

    assert (await videos.row(video_id)).progress_percent == 0


async def test_an_outcome_is_known_once_it_is_final(videos):
    published, failed, waiting = await add_jobs(videos, *[videos.author_id] * 3)
    await videos.publish(await videos.claim())
    failing = await videos.claim()
    async with videos.database.write() as connection:
        await set_failure_reason(connection, failing, reason="坏了")

    async def outcomes() -> dict[int, str]:
        async with videos.database.read_source() as connection:
            return await list_outcomes(connection, [published, failed, waiting])

    assert await outcomes() == {published: ""}
    async with videos.database.write() as connection:
        await fail_video(connection, failing)
    assert await outcomes() == {published: "", failed: "坏了"}


async def test_only_what_is_neither_published_nor_failed_is_unfinished(videos):
    await videos.add_published()
    await add_jobs(videos, videos.author_id)
    failing = await videos.claim()
    await add_jobs(videos, OTHER)
    await videos.upload()
    async with videos.database.write() as connection:
        assert await count_unfinished(connection, videos.author_id) == 2
        await fail_video(connection, failing)
        assert await count_unfinished(connection, videos.author_id) == 1


async def test_of_failed_uploads_the_newest_stay_for_a_while(videos):
    many = await add_jobs(videos, *[MANY] * 5)
    (other,) = await add_jobs(videos, OTHER)
    await videos.change(update(Video).values(status=VideoStatus.FAILED))
    swept_later, old = many[0], many[4]
    await videos.change(
        update(Video).where(Video.id == swept_later).values(lease_expires_at_ms=2**50)
    )
    await videos.change(
        update(Video)
        .where(Video.id == old)
        .values(created_at_ms=Video.created_at_ms - 2 * DAY_S * 1000)
    )
    await videos.upload()

    async def delete_some(*, kept: int, limit: int) -> int:
        async with videos.database.write() as connection:
            return await delete_old_failures(
                connection, kept_per_author=kept, kept_s=DAY_S, limit=limit
            )

    assert await delete_some(kept=3, limit=9) == 2
    assert await delete_some(kept=3, limit=9) == 0
    assert await failed_ids(videos) == {other, swept_later, many[2], many[3]}
    assert await delete_some(kept=0, limit=1) == 1
