"""Migrations, each test on a database of its own."""

import getpass
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from dal.db.engine import Database, MySQLSettings, make_url
from dal.db.migrate import make_alembic_config, migrate
from dal.db.models import Base
from pkg.errors import DependencyUnavailable

MakeDatabase = Callable[[], MySQLSettings]


@pytest.fixture
def make_database(servers, settings) -> Iterator[MakeDatabase]:
    """Make empty databases, which are gone at the end of the test."""
    names: list[str] = []
    user = f"'{settings.mysql.user}'@'127.0.0.1'"
    root = pymysql.connect(unix_socket=str(servers.mysql_socket), user=getpass.getuser())
    with root, root.cursor() as cursor:

        def make() -> MySQLSettings:
            name = f"db_test_{uuid.uuid4().hex[:8]}"
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            cursor.execute(f"GRANT ALL ON {name}.* TO {user}")
            names.append(name)
            changes = {"database": name}
            return MySQLSettings.model_validate(settings.mysql.model_copy(update=changes))

        yield make
        for name in names:
            cursor.execute(f"DROP DATABASE {name}")
            cursor.execute(f"REVOKE ALL ON {name}.* FROM {user}")


@pytest.fixture
def empty(make_database: MakeDatabase) -> MySQLSettings:
    return make_database()


@contextmanager
def connect(database: MySQLSettings) -> Iterator[Connection]:
    url = make_url(database, driver="pymysql", host=database.host, port=database.port)
    with create_engine(url, poolclass=NullPool).connect() as opened:
        yield opened


@pytest.fixture
def connection(empty: MySQLSettings) -> Iterator[Connection]:
    with connect(empty) as opened:
        yield opened


def list_differences(connection: Connection) -> list[Any]:
    """Return what Alembic would still change."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def describe_tables(connection: Connection) -> dict[str, list[str]]:
    """Return each table's columns, keys and options as MySQL shows them, in no order."""
    tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
    shown = {
        name: connection.execute(text(f"SHOW CREATE TABLE {name}")).one()[1] for name in tables
    }
    return {
        name: sorted(line.strip().rstrip(",") for line in statement.splitlines())
        for name, statement in shown.items()
    }


def test_an_empty_database_becomes_what_the_models_say(empty, connection, make_database):
    migrate(empty)

    assert list_differences(connection) == []
    with connect(make_database()) as other:
        Base.metadata.create_all(other)
        assert describe_tables(connection) == describe_tables(other)


def test_what_must_be_there_before_the_first_request_is_there(empty, connection):
    migrate(empty)

    guards = connection.scalars(text("SELECT kind FROM flush_guards ORDER BY kind"))
    assert list(guards) == ["favorite", "relation"]
    assert connection.scalar(text("SELECT last_ms FROM publication_clock WHERE id = 1")) == 0


def test_texts_hold_every_character_and_names_are_compared_exactly(empty, connection):
    migrate(empty)

    columns = connection.execute(
        text(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND collation_name IS NOT NULL"
        )
    ).all()
    assert {row[2].split("_")[0] for row in columns} == {"utf8mb4"}
    assert ("users", "user_name", "utf8mb4_bin") in [tuple(row) for row in columns]


def test_migrating_again_changes_nothing(empty, connection):
    migrate(empty)
    connection.execute(text("UPDATE publication_clock SET last_ms = 5"))
    connection.commit()

    migrate(empty)

    assert connection.scalar(text("SELECT last_ms FROM publication_clock WHERE id = 1")) == 5


def test_a_migration_that_was_interrupted_behind_its_statement_goes_on(empty, connection):
    migrate(empty)
    connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    connection.commit()

    migrate(empty)

    assert list_differences(connection) == []


def test_two_migrations_at_once_are_as_good_as_one(servers, empty, connection):
    environment = servers.environment() | {"DOUSHENG_MYSQL__DATABASE": empty.database}
    command_line = [sys.executable, "-m", "dal.db.migrate"]

    running = [
        subprocess.Popen(
            command_line, env=environment, stderr=subprocess.PIPE, cwd=servers.site.repository
        )
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=60)[1].decode() for process in running]

    assert [process.returncode for process in running] == [0, 0], errors
    assert list_differences(connection) == []


def test_a_migration_can_be_taken_back_and_made_again(empty, connection):
    migrate(empty)

    command.downgrade(make_alembic_config(connection), "base")
    connection.commit()
    assert inspect(connection).get_table_names() == ["alembic_version"]

    migrate(empty)
    assert list_differences(connection) == []


async def test_a_database_that_was_never_migrated_is_not_there_yet(empty):
    database = Database(empty)
    try:
        with pytest.raises(DependencyUnavailable, match="not migrated"):
            await database.ping()
    finally:
        await database.close()
