"""Walking the feed while others publish: what was there at the start is seen exactly once."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dal.db.engine import Database, retry_conflicts
from dal.db.upload_jobs import ClaimedVideo, ObjectKeys, insert_upload, publish_video
from dal.redis.changes import ChangeLog
from dal.redis.client import Redis
from pkg.clock import now_ms
from pkg.storage import random_key
from services.video.timeline import announce_publication
from tests.accounts import UserFactory
from tests.system.app import FEED_PAGE, App, ids_of

AT_START = 70
HELD_MS = 60_000
# What a test arranges is no call of the product, and has time on a busy machine.
PATIENCE_S = 30.0


class Publisher:
    """Publishes rows the way the video service's worker does, without a file behind them."""

    def __init__(self, database: Database, changes: ChangeLog, author_id: int) -> None:
        self._database = database
        self._changes = changes
        self._author_id = author_id
        self.published: set[int] = set()

    async def publish(self) -> int:
        """Publish one video; its id is in `published` once the feed must show it."""
        async with self._database.write(timeout_s=PATIENCE_S) as connection:
            video = await insert_upload(
                connection,
                author_id=self._author_id,
                title="走路",
                keys=ObjectKeys(random_key(), random_key(".mp4"), random_key(".jpg")),
                lease_token=random_key()[:32],
                lease_ms=HELD_MS,
            )
        await retry_conflicts(lambda: self._make_visible(video))
        await announce_publication(self._changes, video_id=video.id, author_id=self._author_id)
        self.published.add(video.id)
        return video.id

    async def publish_many(self, count: int) -> None:
        """Publish side by side, within the same millisecond as far as the database allows."""
        await asyncio.gather(*(self.publish() for _ in range(count)))

    async def _make_visible(self, video: ClaimedVideo) -> None:
        async with self._database.write(timeout_s=PATIENCE_S) as connection:
            await publish_video(connection, video, now_ms=now_ms())


@pytest.fixture
async def publisher(
    database: Database, actions_redis: Redis, make_user: UserFactory, viewer: App
) -> Publisher:
    """Somebody who has published more than two pages."""
    found = Publisher(database, ChangeLog(actions_redis), await make_user())
    there = len(await viewer.walk_feed())
    for _ in range(max(0, AT_START - there) // 10 + 1):
        await found.publish_many(10)
    return found


def check_walk(seen: list[int], at_start: Iterable[int]) -> None:
    """Check that a walk showed nothing twice and everything that was there when it began."""
    repeated = [video_id for video_id, times in Counter(seen).items() if times > 1]
    assert repeated == []
    assert set(at_start) - set(seen) == set()


@hypothesis_settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(bursts=st.lists(st.integers(0, 4), max_size=6))
async def test_a_walk_shows_everything_once_whatever_is_published_between_its_pages(
    viewer: App, publisher: Publisher, bursts: list[int]
) -> None:
    at_start = set(publisher.published)
    seen: list[int] = []
    latest_time: int | None = None

    for count in [*bursts, *[0] * 500]:
        page = await viewer.feed(latest_time)
        if not page["video_list"]:
            break
        seen += ids_of(page["video_list"])
        latest_time = page["next_time"]
        await publisher.publish_many(count)

    check_walk(seen, at_start)


async def test_walks_are_exact_while_others_publish_all_the_time(
    viewer: App, publisher: Publisher
) -> None:
    stop = asyncio.Event()

    async def keep_publishing() -> None:
        while not stop.is_set():
            await publisher.publish()
            await asyncio.sleep(random.uniform(0, 0.02))  # The pace of the load.

    async def walk() -> None:
        for _ in range(3):
            at_start = set(publisher.published)
            check_walk(ids_of(await viewer.walk_feed()), at_start)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(keep_publishing())
        await asyncio.gather(*(walk() for _ in range(3)))
        stop.set()


async def test_pages_are_full_ordered_and_continue_where_the_last_one_ended(
    viewer: App, publisher: Publisher
) -> None:
    first = await viewer.feed()
    second = await viewer.feed(first["next_time"])

    times = [card["create_time"] for card in (*first["video_list"], *second["video_list"])]
    assert len(first["video_list"]) == len(second["video_list"]) == FEED_PAGE
    assert times == sorted(set(times), reverse=True)
    assert first["next_time"] == first["video_list"][-1]["create_time"]


async def test_at_its_end_the_feed_tells_to_start_over(viewer: App, publisher: Publisher) -> None:
    oldest = (await viewer.walk_feed())[-1]

    end = await viewer.feed(oldest["create_time"])
    again = await viewer.feed(end["next_time"])

    assert end["video_list"] == []
    assert abs(end["next_time"] - time.time() * 1000) < 60_000
    assert ids_of(again["video_list"]) == ids_of((await viewer.feed())["video_list"])


@pytest.mark.parametrize(
    "shape", [None, "", "0", "-1", "abc", "NaN", "1e99", "99999999999999999999", "4102444800", "７"]
)
async def test_a_latest_time_that_makes_no_sense_is_now(
    viewer: App, publisher: Publisher, shape: str | None
) -> None:
    newest = await publisher.publish()

    page = await viewer.feed(shape)

    assert page["video_list"][0]["id"] == newest
    assert len(page["video_list"]) == FEED_PAGE


@pytest.mark.parametrize("unit", ["milliseconds", "microseconds", "fractional seconds"])
async def test_latest_time_is_understood_in_every_unit(
    viewer: App, publisher: Publisher, unit: str
) -> None:
    turning_point = (await viewer.feed())["video_list"][9]
    at_ms = turning_point["create_time"]
    latest_time = {
        "milliseconds": at_ms,
        "microseconds": at_ms * 1000,
        "fractional seconds": f"{at_ms // 1000}.{at_ms % 1000:03}",
    }[unit]

    page = await viewer.feed(latest_time)

    assert ids_of(page["video_list"]) == ids_of((await viewer.feed(at_ms))["video_list"])
    assert all(card["create_time"] < at_ms for card in page["video_list"])


async def test_latest_time_in_seconds_is_the_beginning_of_that_second(
    viewer: App, publisher: Publisher
) -> None:
    newest = (await viewer.feed())["video_list"][0]
    second = newest["create_time"] // 1000

    page = await viewer.feed(second)

    assert page["video_list"]
    assert all(card["create_time"] < second * 1000 for card in page["video_list"])
