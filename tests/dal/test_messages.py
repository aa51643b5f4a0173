"""Messages in MySQL: the order within a conversation, and the latest message of every two people."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import insert, select

from dal.db.engine import Database, open_database, retry_conflicts
from dal.db.message_keys import find_newest_data_key, insert_first_data_key
from dal.db.messages import (
    Draft,
    MarkFenced,
    fence_conversation,
    find_last_time_ms,
    insert_message,
    list_history,
    list_newer,
    list_newer_from,
    map_latest_messages,
)
from dal.db.models import Message
from dal.participants import Participants
from pkg.crypt.messages import WrappingKeys
from pkg.errors import UserNotFound
from pkg.paging import FROM_THE_START
from tests.accounts import UserFactory
from tests.conftest import AllSettings
from tests.dal.conftest import count_rows_read
from tests.serving import counted_statements


@pytest.fixture
async def database(settings: AllSettings) -> AsyncIterator[Database]:
    """Forty senders of one conversation wait for each other; here they may take their time."""
    patient = settings.mysql.model_copy(update={"statement_timeout_s": 60, "connect_timeout_s": 60})
    async with open_database(patient) as opened:
        yield opened


@pytest.fixture
async def people(make_user: UserFactory) -> list[int]:
    return [await make_user() for _ in range(2)]


async def send(
    database: Database, from_id: int, to_id: int, *, now_ms: int = 1000, mark: int = 1
) -> int:
    draft = Draft(from_id, to_id, 1, lambda identity: f"at {identity.created_at_ms}")

    async def transaction() -> int:
        async with database.write() as connection:
            return await insert_message(connection, draft, mark=mark, now_ms=now_ms)

    return await retry_conflicts(transaction)


async def fence(database: Database, reader_id: int, other_id: int, mark: int) -> dict[int, int]:
    async with database.write() as connection:
        return await fence_conversation(
            connection, reader_id=reader_id, other_id=other_id, mark=mark
        )


async def test_times_increase_though_the_clock_stands_still_or_goes_back(
    database: Database, people: list[int]
):
    first, second = people

    sent = [
        await send(database, first, second, now_ms=1000),
        await send(database, second, first, now_ms=1000),
        await send(database, first, second, now_ms=3),
        await send(database, second, first, now_ms=5000),
    ]

    assert sent == [1000, 1001, 1002, 5000]
    async with database.read_source() as connection:
        assert await find_last_time_ms(connection, Participants.of(first, second)) == 5000


async def test_forty_messages_at_once_get_forty_times(database: Database, people: list[int]):
    first, second = people

    sent = await asyncio.gather(
        *(send(database, first, second) for _ in range(20)),
        *(send(database, second, first) for _ in range(20)),
    )

    assert sorted(sent) == list(range(1000, 1040))


async def test_reading_goes_forward_and_backward_from_a_time(database: Database, people: list[int]):
    first, second = people
    sent = [await send(database, *people[:: 1 if n % 2 else -1]) for n in range(6)]
    participants = Participants.of(second, first)

    async with database.read_source() as connection:
        history = await list_history(connection, participants, limit=4)
        older = await list_history(connection, participants, before_ms=sent[3], limit=2)
        newer = await list_newer(connection, participants, after_ms=sent[1], limit=3)
        theirs = await list_newer_from(
            connection, sender_id=second, receiver_id=first, after_ms=sent[0], limit=9
        )

    assert [row.created_at_ms for row in history] == sent[:1:-1]
    assert [row.created_at_ms for row in older] == [sent[2], sent[1]]
    assert [row.created_at_ms for row in newer] == sent[2:5]
    assert [row.created_at_ms for row in theirs] == sent[2::2]
    assert history[0].content == f"at {sent[5]}"


async def test_a_page_of_history_reads_its_own_rows_alone(database: Database, people: list[int]):
    first, second = people
    await send(database, first, second)
    row = {"from_user_id": first, "to_user_id": second, "content": "", "data_key_id": 1}
    async with database.write(timeout_s=60) as connection:
        row["conversation_id"] = await connection.scalar(
            select(Message.conversation_id).where(Message.from_user_id == first)
        )
        rows = [row | {"created_at_ms": 2000 + number} for number in range(3000)]
        await connection.execute(insert(Message), rows)

    async with database.read_source() as connection:
        for before_ms in (2100, 2900, 3500, 4100, 4700, 4970, FROM_THE_START):
            before = await count_rows_read(connection)
            page = await list_history(
                connection, Participants.of(first, second), before_ms=before_ms, limit=10
            )
            read = await count_rows_read(connection) - before

            newest_ms = min(before_ms, 5000) - 1
            assert [found.created_at_ms for found in page] == list(
                range(newest_ms, newest_ms - 10, -1)
            )
            # The conversation and the ten; some servers look at one more to find the end.
            assert read <= 12, before_ms


async def test_a_fenced_send_writes_nothing(database: Database, people: list[int]):
    first, second = people
    sent = await send(database, first, second, mark=5)

    latest = await fence(database, second, first, 7)

    assert latest == {first: sent, second: 0}
    for mark in (6, 7):
        with pytest.raises(MarkFenced) as fenced:
            await send(database, first, second, mark=mark)
        assert fenced.value.fence == 7
    assert await send(database, first, second, mark=8) == sent + 1
    assert await fence(database, first, second, 2) == {first: sent + 1, second: 0}


async def test_a_conversation_with_nobody_is_not_fenced(database: Database, people: list[int]):
    assert await fence(database, people[0], people[1], 1) == dict.fromkeys(people, 0)
    with pytest.raises(UserNotFound):
        await fence(database, people[0], 2**50, 1)


async def test_the_latest_messages_of_all_pairs_take_one_query(
    database: Database, make_user: UserFactory
):
    people = [await make_user() for _ in range(6)]
    viewer, silent = people[3], people[5]
    expected: dict[int, tuple[int, int]] = {}
    for number, other in enumerate(people):
        if other not in (viewer, silent):
            await send(database, viewer, other)
            directed = (viewer, other) if number % 2 else (other, viewer)
            expected[other] = (await send(database, *directed), directed[0])

    with counted_statements() as statements:
        async with database.read_source() as connection:
            latest = await map_latest_messages(connection, viewer, people)

    found = {other: (row.created_at_ms, row.from_user_id) for other, row in latest.items()}
    assert found == expected
    assert len(statements) == 1


async def test_of_many_first_data_keys_one_is_kept(database: Database, settings: AllSettings):
    keys = WrappingKeys(settings.crypt)

    async def make() -> str | None:
        wrapped = keys.make_wrapped()
        async with database.write() as connection:
            await insert_first_data_key(connection, pair_id=keys.current_id, wrapped=wrapped)
        async with database.read_source() as connection:
            newest = await find_newest_data_key(connection)
        return newest.wrapped if newest else None

    winners: Sequence[str | None] = await asyncio.gather(*(make() for _ in range(8)))

    assert len(set(winners)) == 1
