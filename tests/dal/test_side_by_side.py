"""While a release rolls out, the code of the last one writes and reads the schema of the next one."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import BINARY, Connection, Integer, MetaData, String, Table, create_engine
from sqlalchemy.dialects.mysql import TINYINT
from sqlalchemy.pool import NullPool

from dal.db.connections import MySQLSettings, make_url
from dal.db.migrate import migrate
from dal.db.schema_version import VERSIONS
from tests.conftest import AllSettings
from tests.databases import making_databases

VERSION_NUMBERS = sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
# The first release has nobody beside it.
UPGRADES = list(pairwise(VERSION_NUMBERS))
OF_THE_SCHEMA = {"alembic_version", "migration_journal"}


@pytest.fixture
def mysql(servers: Any, settings: AllSettings) -> Iterator[MySQLSettings]:
    """An empty database."""
    with making_databases(servers, settings.mysql) as make:
        yield make()


def read_schema(connection: Connection) -> list[Table]:
    """Return the tables as the code of this version knows them."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for name, table in metadata.tables.items() if name not in OF_THE_SCHEMA]


def make_row(table: Table, number: int) -> dict[str, Any]:
    """Return a row with a value in each column that has to have one."""
    return {
        column.name: make_value(column.type, number)
        for column in table.columns
        if not column.nullable and column.server_default is None
    }


def make_value(kind: Any, number: int) -> Any:
    if isinstance(kind, TINYINT):
        return 1
    if isinstance(kind, Integer):
        return number
    if isinstance(kind, BINARY):
        return number.to_bytes(kind.length or 1)
    return f"{number}" if isinstance(kind, String) else datetime(2026, 11, 28)  # noqa: DTZ001


@pytest.mark.parametrize(("older", "newer"), UPGRADES)
def test_the_code_of_the_last_release_writes_and_reads_what_a_migration_has_made(
    mysql: MySQLSettings, older: str, newer: str
):
    url = make_url(mysql, driver="pymysql", host=mysql.host, port=mysql.port)
    migrate(mysql, to=older)
    with create_engine(url, poolclass=NullPool).begin() as before:
        tables = read_schema(before)
        for table in tables:
            before.execute(table.insert(), make_row(table, 101))

    migrate(mysql, to=newer)

    with create_engine(url, poolclass=NullPool).begin() as after:
        for table in tables:
            row = make_row(table, 102)
            after.execute(table.insert(), row)
            found = after.execute(table.select()).mappings().all()
            assert any(row.items() <= dict(one).items() for one in found), table.name
