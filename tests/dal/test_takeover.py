"""Statements of a takeover that compute something from all rows of a table."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete, insert, select, text

from dal.db.engine import Database
from dal.db.models import Relation
from dal.db.takeover.progress import (
    AnotherTakeover,
    StepProgress,
    begin_step,
    create_progress,
    list_progress,
    move_step,
)
from dal.db.takeover.target import spread_follows


@pytest.fixture
async def alone(database: Database) -> AsyncIterator[Database]:
    """Nobody else follows anybody, before and after."""
    for is_begin in (True, False):
        async with database.write() as connection:
            await connection.execute(delete(Relation))
        if is_begin:
            yield database


@pytest.mark.parametrize(
    ("versions", "spread"),
    [
        ([], []),
        ([5], [5]),
        ([7, 7, 7, 8, 20], [7, 8, 9, 10, 20]),
        ([1000, 60, 60, 1], [1000, 60, 61, 1]),
        ([0, 0, 1, 5, 5, 5, 5, 9], [0, 1, 2, 5, 6, 7, 8, 9]),
    ],
)
async def test_follows_get_versions_of_their_own_in_the_order_that_they_had(
    alone: Database, versions: list[int], spread: list[int]
):
    rows = [
        # Killed transactions leave gaps between ids.
        {
            "id": 3 * number + 2,
            "user_id": 1,
            "to_user_id": number + 2,
            "active": True,
            "acted_at_us": version,
        }
        for number, version in enumerate(versions)
    ]

    # The second time changes nothing.
    for _ in range(2):
        async with alone.write() as connection:
            if rows:
                await connection.execute(insert(Relation), rows)
            await spread_follows(connection)
            found = await connection.scalars(select(Relation.acted_at_us).order_by(Relation.id))
            assert found.all() == spread
        rows = []


@pytest.fixture
async def with_progress(database: Database) -> AsyncIterator[Database]:
    """The table of a takeover, which no other test has."""
    async with database.write() as connection:
        await create_progress(connection)
    yield database
    async with database.write() as connection:
        await connection.execute(text("DROP TABLE takeover_progress"))


async def test_of_two_takeovers_one_goes_on(with_progress: Database):
    first = StepProgress("likes", rows_read=5, state={"last": [1, 2]})
    async with with_progress.write() as connection:
        await begin_step(connection, StepProgress("likes"))
        await move_step(connection, first, rows_before=0)

    for attempt in (
        lambda connection: begin_step(connection, StepProgress("likes")),
        lambda connection: move_step(connection, StepProgress("likes", rows_read=7), rows_before=0),
    ):
        with pytest.raises(AnotherTakeover):
            async with with_progress.write() as connection:
                await attempt(connection)
    async with with_progress.read_source() as connection:
        assert await list_progress(connection) == {"likes": first}


async def test_a_step_that_is_done_is_not_moved(with_progress: Database):
    async with with_progress.write() as connection:
        await begin_step(connection, StepProgress("likes", rows_read=5, is_done=True))

    with pytest.raises(AnotherTakeover):
        async with with_progress.write() as connection:
            await move_step(connection, StepProgress("likes", rows_read=7), rows_before=5)
