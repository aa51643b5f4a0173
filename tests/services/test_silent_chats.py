"""Chats in which nobody writes: looking at them leaves nothing behind, and hides nothing of what is written meanwhile."""

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select

from dal.db.engine import Database
from dal.db.models import Conversation
from dal.participants import Participants
from dal.redis.keys import chat_key
from tests.accounts import UserFactory
from tests.chat import MakePhone, Phone, write_many
from tests.conftest import AllSettings
from tests.serving import counted_statements


async def test_looking_at_chats_with_anybody_writes_nothing(
    make_user: UserFactory,
    make_phone: MakePhone,
    *,
    database: Database,
    actions_redis: Redis,
):
    reader = await make_user()
    phones = [make_phone(reader, await make_user()) for _ in range(5)]
    await phones[0].read()  # Whoever looks first at an empty Redis names its data.

    async def count_everything() -> tuple[int, int, int]:
        async with database.read_source() as connection:
            rows = await connection.scalar(select(func.count()).select_from(Conversation))
        keys = [key async for key in actions_redis.scan_iter("*chat*")]
        info = await actions_redis.info("persistence")
        return rows or 0, len(keys), info["rdb_changes_since_last_save"]

    before = await count_everything()
    for phone in phones:
        assert [await phone.read(), await phone.read(7), await phone.read()] == [[], [], []]

    assert await count_everything() == before


async def test_the_first_message_is_seen_by_whoever_looked_before(
    friends: tuple[Phone, Phone],
):
    first, second = friends
    for _ in range(2):
        assert await second.read() == await second.read(1) == await first.read() == []

    await first.send("一")

    assert await second.texts() == await second.texts(1) == await first.texts() == ["一"]
    assert await first.read(1) == []


@pytest.mark.parametrize("loses_everything", [False, True])
async def test_a_redis_that_forgets_the_first_message_hides_it_from_nobody(
    friends: tuple[Phone, Phone], actions_redis: Redis, *, loses_everything: bool
):
    first, second = friends
    assert await second.read() == await second.read(1) == []
    await first.send("一")
    if loses_everything:
        await actions_redis.flushall()
    else:
        await actions_redis.delete(chat_key(Participants.of(first.user_id, second.user_id)))

    assert await second.texts(1) == ["一"]
    assert await second.texts() == ["一"]


async def test_an_old_conversation_is_polled_without_sql_and_without_a_write(
    settings: AllSettings,
    *,
    database: Database,
    friends: tuple[Phone, Phone],
    actions_redis: Redis,
):
    first, second = friends
    await write_many(settings, database, first, 1)
    key = chat_key(Participants.of(first.user_id, second.user_id))
    [last] = await second.read()
    assert await first.read(last.create_time) == []  # Now both accounts are known to the service.

    with counted_statements() as statements:
        for _ in range(10):
            assert await second.read(last.create_time) == []
            assert await first.read(last.create_time) == []

    assert statements == []
    assert not await actions_redis.exists(key)
