"""Migrations, each test on a database of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy import table as table_clause
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from dal.db.engine import Database, MySQLSettings, make_url
from dal.db.migrate import make_alembic_config, migrate
from dal.db.migrations.journal import InterruptedMigration
from dal.db.models import Base
from dal.db.schema_version import VERSIONS
from pkg.errors import DependencyUnavailable
from pkg.names import make_name_keys
from tests.databases import MakeDatabase, making_databases


@pytest.fixture
def make_database(servers, settings) -> Iterator[MakeDatabase]:
    """Make empty databases, which are gone at the end of the test."""
    with making_databases(servers, settings.mysql) as make:
        yield make


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


class Killed(BaseException):
    """What a SIGKILL is to a test: nothing of ours runs after it."""


class Killer:
    """Kills a migration at every statement that it has not been killed at yet, before or after the server has run it."""

    def __init__(self, moment: str) -> None:
        self.kills = 0
        self._moment = moment
        self._seen: set[str] = set()

    def __call__(self, _connection, _cursor, statement, parameters, _context, _many) -> None:
        known = f"{statement} {parameters}"
        if known not in self._seen:
            self._seen.add(known)
            self.kills += 1
            raise Killed(statement)

    def migrate_until(self, database: MySQLSettings, statement: str) -> None:
        """Migrate and kill it at one statement only."""

        def kill(_connection, _cursor, executed, *_rest) -> None:
            if executed.startswith(statement):
                raise Killed(statement)

        event.listen(Engine, self._moment, kill)
        try:
            migrate(database)
        finally:
            event.remove(Engine, self._moment, kill)

    def migrate(self, database: MySQLSettings) -> None:
        """Migrate under fire, again and again, until it gets through."""
        event.listen(Engine, self._moment, self)
        try:
            while True:
                with suppress(Killed):
                    migrate(database)
                    return
        finally:
            event.remove(Engine, self._moment, self)


@pytest.mark.parametrize("moment", ["before_cursor_execute", "after_cursor_execute"])
def test_a_migration_that_is_killed_at_every_statement_ends_as_one_that_is_not(
    empty, connection, make_database, moment
):
    killer = Killer(moment)

    killer.migrate(empty)

    untouched = make_database()
    migrate(untouched)
    with connect(untouched) as other:
        assert describe_tables(connection) == describe_tables(other)
        for table in describe_tables(other):
            everything = select(text("*")).select_from(table_clause(table))
            assert connection.execute(everything).all() == other.execute(everything).all()
    assert list_differences(connection) == []
    assert killer.kills > len(Base.metadata.tables)


@pytest.mark.parametrize("moment", [None, "before_cursor_execute", "after_cursor_execute"])
def test_accounts_that_exist_keep_their_names_and_the_oldest_owner_keeps_the_key(
    empty, connection, moment
):
    migrate(empty)
    command.downgrade(make_alembic_config(connection), "0001")
    names = ["小明", "小明\u200b", "Admin", "аdmin", "ΝΙΚΕ", "nike", "😀", "😁"]
    connection.execute(
        text(
            "INSERT INTO users (user_name, password, updated_at) VALUES (:name, '-', '2020-01-01')"
        ),
        [{"name": name} for name in names],
    )
    connection.commit()

    (Killer(moment).migrate if moment else migrate)(empty)

    rows = connection.execute(
        text(
            "SELECT user_name, name_look_key, name_capital_key, name_fold_key, YEAR(updated_at)"
            " FROM users ORDER BY id"
        )
    ).all()
    owners = [row[0] for row in rows if None not in row[1:4]]
    assert [row[0] for row in rows] == names
    assert owners == ["小明", "Admin", "ΝΙΚΕ", "😀", "😁"]
    keys = make_name_keys("admin\u200b")
    assert (keys.look_key, keys.capital_key, keys.fold_key) in [
        tuple(bytes(key or b"") for key in row[1:4]) for row in rows
    ]
    assert {row[4] for row in rows} == {2020}


def test_a_statement_that_fails_is_not_taken_for_done_when_it_is_tried_again(empty, connection):
    connection.execute(text("CREATE TABLE users (id INT PRIMARY KEY)"))

    for _ in range(2):
        with pytest.raises(OperationalError, match="already exists"):
            migrate(empty)

    connection.execute(text("DROP TABLE users"))
    migrate(empty)
    assert list_differences(connection) == []


def test_half_of_another_migration_is_not_continued(empty, connection):
    with pytest.raises(Killed):
        Killer("after_cursor_execute").migrate_until(empty, "INSERT INTO publication_clock")
    connection.execute(text("UPDATE migration_journal SET digest = 'another' WHERE position = 3"))
    connection.commit()

    with pytest.raises(InterruptedMigration, match="statement 3"):
        migrate(empty)


async def test_a_service_does_not_start_on_half_of_a_migration(empty):
    with pytest.raises(Killed):
        Killer("after_cursor_execute").migrate_until(empty, "INSERT INTO publication_clock")
    database = Database(empty)
    try:
        with pytest.raises(DependencyUnavailable, match="not migrated"):
            await database.ping()
    finally:
        await database.close()


async def test_a_database_that_was_never_migrated_is_not_there_yet(empty):
    database = Database(empty)
    try:
        with pytest.raises(DependencyUnavailable, match="not migrated"):
            await database.ping()
    finally:
        await database.close()


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_every_statement_of_a_version_is_noted_in_the_journal(path):
    """What goes past `op` would be done again after an interruption."""
    assert "get_bind" not in path.read_text()
