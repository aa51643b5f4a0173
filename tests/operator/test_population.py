"""A population in the database: it is what the write path would have left, and is not mixed with what people wrote."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from dal.db.counters import list_differences
from dal.db.engine import Database, open_database
from dal.db.messages import list_history
from dal.db.migrate import migrate
from dal.db.models import Comment, FavoriteVideo, Message, Relation, User, Video
from dal.db.videos import list_feed
from dal.participants import Participants
from pkg.clock import now_ms
from pkg.crypt import HashingSettings, Passwords
from scripts.population.amounts import PASSWORD, Amounts, PopulationRefused
from scripts.population.filling import PopulationSettings, populate
from services.message_texts import UNREADABLE, MessageTexts
from tests.accounts import UserFactory
from tests.databases import making_databases

AMOUNTS = Amounts(
    seed=5, users=20, videos=30, likes=100, follows=60, comments=40, messages=50, burst=5
)
TABLES = {
    "users": User,
    "videos": Video,
    "likes": FavoriteVideo,
    "follows": Relation,
    "comments": Comment,
    "messages": Message,
}


@pytest.fixture
def empty(servers, settings) -> Iterator[PopulationSettings]:
    with making_databases(servers, settings.mysql) as make:
        mysql = make()
        migrate(mysql)
        yield PopulationSettings.model_construct(
            mysql=mysql, redis_actions=settings.redis_actions, crypt=settings.crypt
        )


@pytest.fixture
async def database(empty: PopulationSettings) -> AsyncIterator[Database]:
    async with open_database(empty.mysql) as opened:
        yield opened


async def count_rows(database: Database) -> dict[str, int]:
    async with database.read_source() as connection:
        return {
            part: await connection.scalar(select(func.count()).select_from(table)) or 0
            for part, table in TABLES.items()
        }


async def test_every_counter_is_that_of_its_rows_and_a_second_seed_adds_to_the_first(
    empty: PopulationSettings, database: Database
):
    await populate(empty, AMOUNTS)
    await populate(empty, replace(AMOUNTS, seed=6))

    assert await list_differences(database) == []
    assert await count_rows(database) == {part: 2 * getattr(AMOUNTS, part) for part in TABLES}
    with pytest.raises(PopulationRefused, match="--seed 6 is here already"):
        await populate(empty, replace(AMOUNTS, seed=6))


async def test_it_looks_as_if_people_had_done_it(empty: PopulationSettings, database: Database):
    await populate(empty, AMOUNTS)

    async with database.read_source() as connection:
        feed = await list_feed(connection, before_ms=now_ms(), limit=AMOUNTS.videos)
        sender, receiver = (
            await connection.execute(select(Message.from_user_id, Message.to_user_id).limit(1))
        ).one()
        chat = await list_history(connection, Participants.of(sender, receiver), limit=100)
        stored = await connection.scalar(select(User.password).where(User.user_name == "seed5-3"))
        newest = await connection.scalar(select(func.max(FavoriteVideo.acted_at_us)))
        versions = await connection.scalar(
            select(func.count(FavoriteVideo.acted_at_us.distinct())).select_from(FavoriteVideo)
        )
    times = [row.published_at_ms for row in feed]
    assert times[: AMOUNTS.burst] == [times[0] - age for age in range(AMOUNTS.burst)]
    assert len(times) == AMOUNTS.videos
    assert UNREADABLE not in await MessageTexts(database, empty.crypt).decrypt(chat)
    assert versions == AMOUNTS.likes
    assert newest is not None
    assert newest < 1000 * now_ms()
    passwords = Passwords(HashingSettings(max_waiting=1, max_waiting_per_address=1, max_wait_s=60))
    assert await passwords.verify(stored, PASSWORD, network="")
    passwords.close()


async def test_it_is_not_mixed_with_what_people_wrote(
    empty: PopulationSettings, database: Database
):
    await UserFactory(database)(name="somebody")

    with pytest.raises(PopulationRefused, match="1 accounts here are neither samples nor seeded"):
        await populate(empty, AMOUNTS)

    assert (await count_rows(database))["users"] == 1
