"""Tokens, and the accounts and videos that tests of services act on."""

import pytest
from sqlalchemy import delete

from dal.db.models import Video
from pkg.token import TokenIssuer, TokenVerifier
from tests.videos import Videos


@pytest.fixture
def issuer(settings) -> TokenIssuer:
    return TokenIssuer(settings.token)


@pytest.fixture
def verifier(settings) -> TokenVerifier:
    return TokenVerifier(settings.token)


@pytest.fixture
async def videos(database, make_user) -> Videos:
    """A new author's videos; nobody else has any at the beginning."""
    async with database.write() as connection:
        await connection.execute(delete(Video))
    return Videos(database, await make_user())
