"""Where registers are, and who acts on them."""

from collections.abc import AsyncIterator

import pytest

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
