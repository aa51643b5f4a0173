"""Accounts for tests."""

import uuid

from dal.db.engine import Database
from dal.db.users import insert_user


class UserFactory:
    """Inserts users under names that nobody else has."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, *, name: str | None = None, password_hash: str = "none") -> int:
        """Insert a user and return the id."""
        async with self._database.write() as connection:
            return await insert_user(
                connection, name=name or uuid.uuid4().hex[:20], password_hash=password_hash
            )
