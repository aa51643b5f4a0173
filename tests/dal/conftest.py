"""Where registers are, and who acts on them."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.register_stores import RegisterStores, open_stores


@pytest.fixture
async def stores(settings) -> AsyncIterator[RegisterStores]:
    """The database and the Redis in which registers are."""
    async with open_stores(settings.mysql, settings.redis_actions) as stores:
        yield stores


@pytest.fixture
async def people(stores: RegisterStores) -> list[int]:
    """Three users, oldest first."""
    return await stores.add_users(3)


async def count_rows_read(connection: AsyncConnection) -> int:
    """Return how many rows the server has read for this connection."""
    status = await connection.execute(
        text("SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%'")
    )
    return sum(int(value) for name, value in status if name != "Handler_read_rnd_next")
