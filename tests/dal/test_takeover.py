"""How far a takeover is: one of two that run at once goes on."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from dal.db.engine import Database
from dal.db.takeover.progress import (
    AnotherTakeover,
    StepProgress,
    begin_step,
    create_progress,
    list_progress,
    move_step,
)


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
