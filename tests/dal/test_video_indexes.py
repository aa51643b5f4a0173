"""Every list of videos is read from its index, in its order, also among thousands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, delete, event, insert, text, update

from dal.db.connections import make_url
from dal.db.models import Video, VideoStatus
from dal.db.upload_jobs import list_publications
from dal.db.upload_queue import (
    claim_job,
    claim_leftover,
    count_unfinished,
    delete_old_failures,
    heavy_lane,
    light_lane,
    list_waiting,
)
from dal.db.videos import list_feed, list_videos_of_author, map_videos_of_authors
from pkg.paging import FROM_THE_START


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
def thousands_of_videos(settings) -> Iterator[None]:
    """Enough rows that MySQL prefers an index."""
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
    ],
    ids=["feed", "feed from the start", "of an author", "publications"],
)
@pytest.mark.usefixtures("thousands_of_videos")
async def test_a_list_is_read_from_its_index_in_order(database, query, index):
    async with database.read_source() as connection:
        with recorded_statements() as statements:
            await query(connection)
        statement, parameters = statements[0]  # Then what was found may be written by its id.
        plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        (step,) = plan.mappings().all()

    assert step["key"] == index
    assert step["type"] in {"range", "ref"}
    assert "filesort" not in step["Extra"]
    assert "temporary" not in step["Extra"]


@pytest.mark.usefixtures("thousands_of_videos")
async def test_the_videos_of_many_authors_are_looked_up_in_their_index(database, make_user):
    authors = [await make_user() for _ in range(3)]
    async with database.read_source() as connection:
        with recorded_statements() as statements:
            await map_videos_of_authors(connection, authors, limit=100)
        [(statement, parameters)] = statements
        plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        steps = {row["table"]: row["key"] for row in plan.mappings()}

    assert steps == {"wanted": None, "users": "PRIMARY", "videos": "ix_videos_author_published"}


@pytest.mark.parametrize(
    "query",
    [
        lambda c: claim_job(c, light_lane(), lease_token="t", lease_ms=0),
        lambda c: claim_job(c, heavy_lane(max_per_author=1), lease_token="t", lease_ms=0),
        lambda c: claim_leftover(c, VideoStatus.FAILED, lease_token="t", lease_ms=0),
        list_waiting,
        lambda c: count_unfinished(c, 900_007),
        lambda c: delete_old_failures(c, kept_per_author=1, kept_s=1, limit=1000),
    ],
    ids=["light job", "heavy job", "leftover", "queue", "unfinished", "old failures"],
)
@pytest.mark.usefixtures("thousands_of_videos")
async def test_what_is_published_is_never_read_to_find_work(database, query):
    async with database.read_source() as connection:
        with recorded_statements() as statements:
            await query(connection)
        statement, parameters = statements[0]  # Then what was found may be written by its id.
        plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        steps = [step for step in plan.mappings().all() if step["table"] == "videos"]

    assert steps
    for step in steps:
        assert step["key"] in {"ix_videos_claim", "ix_videos_started", "ix_videos_author_published"}
        assert step["type"] in {"range", "ref"}
        assert int(step["rows"]) < 1000


async def test_deleting_old_failures_waits_for_nobody_who_writes_published_videos(
    database, thousands_of_videos
):
    failed = {"title": "t", "upload_key": "", "play_url": "", "cover_url": "", "created_at_ms": 1}
    async with database.write() as connection:
        rows = [{"author_id": 900_000, "status": "failed", **failed} for _ in range(5000)]
        await connection.execute(insert(Video), rows)
    async with database.write() as connection:
        await connection.execute(text("ANALYZE TABLE videos"))

    async with database.write(timeout_s=30) as liking, database.write() as deleting:
        published = Video.status == VideoStatus.PUBLISHED
        await liking.execute(update(Video).where(published).values(favorite_count=1))

        deleted = await delete_old_failures(deleting, kept_per_author=1, kept_s=1, limit=1000)

    assert deleted == 1000
