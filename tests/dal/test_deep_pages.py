"""A page of a long list reads its own rows alone, wherever in the list it lies."""

import pytest
from sqlalchemy import insert, select

from dal.db.comments import list_comments
from dal.db.engine import Database
from dal.db.models import Comment, FavoriteVideo, Relation
from dal.db.register_rows import list_active, list_followers
from dal.registers.model import Kind
from pkg.paging import FROM_THE_START
from tests.accounts import UserFactory
from tests.dal.conftest import count_rows_read

LIMIT = 10


async def test_a_page_of_comments_reads_its_own_rows_alone(
    database: Database, make_user: UserFactory
):
    user_id, video_id = await make_user(), 870_001
    rows = [{"video_id": video_id, "user_id": user_id, "content": ""} for _ in range(2000)]
    async with database.write(timeout_s=60) as connection:
        await connection.execute(insert(Comment), rows)

    async with database.read_source() as connection:
        newest = select(Comment.id).where(Comment.video_id == video_id).order_by(Comment.id.desc())
        ids = list(await connection.scalars(newest))
        for before_id in (FROM_THE_START, ids[200], ids[1000], ids[1950]):
            before = await count_rows_read(connection)
            page = await list_comments(
                connection, video_id=video_id, before_id=before_id, limit=LIMIT
            )
            read = await count_rows_read(connection) - before

            begins = ids.index(before_id) + 1 if before_id in ids else 0
            assert [row.id for row in page] == ids[begins : begins + LIMIT]
            # Some servers look at one more to find the end.
            assert read <= LIMIT + 1, f"{read} rows for the page behind {begins}"


@pytest.mark.parametrize("what", ["likes", "follows", "followers"])
async def test_a_page_of_likes_follows_and_followers_reads_its_own_rows_alone(
    database: Database, make_user: UserFactory, what: str
):
    owner_id, others = await make_user(), range(880_000, 882_000)
    table, own, other = {
        "likes": (FavoriteVideo, "user_id", "video_id"),
        "follows": (Relation, "user_id", "to_user_id"),
        "followers": (Relation, "to_user_id", "user_id"),
    }[what]
    # In an order of their own, half of them undone.
    rows = [
        {own: owner_id, other: one, "acted_at_us": 1 + (one * 7919) % 10_007, "active": one % 2}
        for one in others
    ]
    async with database.write(timeout_s=60) as connection:
        await connection.execute(insert(table), rows)
    versions = sorted((row["acted_at_us"] for row in rows if row["active"]), reverse=True)

    async with database.read_source() as connection:
        for begins in (0, 100, 500, 980):
            before = versions[begins - 1] if begins else FROM_THE_START
            page_of = {"user_id": owner_id, "before": before, "limit": LIMIT}
            counted = await count_rows_read(connection)
            if what == "followers":
                page = await list_followers(connection, **page_of)
            else:
                kind = Kind.FAVORITE if what == "likes" else Kind.RELATION
                page = await list_active(connection, kind, **page_of)
            read = await count_rows_read(connection) - counted

            assert [action.version for action in page] == versions[begins : begins + LIMIT]
            assert read <= LIMIT + 1, f"{read} rows for the page behind {begins}"
