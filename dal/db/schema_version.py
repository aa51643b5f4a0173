"""Which schema this code needs, by the files of its migrations: their names begin with ascending numbers."""

from functools import cache
from pathlib import Path

from sqlalchemy import column, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

VERSION_TABLE = "alembic_version"
VERSIONS = Path(__file__).parent / "migrations" / "versions"


@cache
def newest_version() -> str:
    """Return the number of the newest migration that this code knows, such as "0001"."""
    return max(_number(path.name) for path in VERSIONS.glob("[0-9]*.py"))


def is_new_enough(found: str | None) -> bool:
    """Tell whether a database at revision `found` has all that this code needs; a newer one is a later release's."""
    return found is not None and _number(found) >= newest_version()


async def get_version(connection: AsyncConnection) -> str:
    """Return the revision of the schema, such as "0004"."""
    found = await connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    return str(found)


def _number(revision: str) -> str:
    return revision.partition("_")[0].removesuffix(".py")
