"""What a migration that was interrupted has done already: one row for each of its statements.

MySQL commits every DDL statement by itself, so a migration that is killed leaves half of its work. Each statement is noted when
it begins and when it is done, and what is done is skipped when the migration runs again. A statement of data is done in one
transaction with its note. DDL cannot be: of the one that had begun, "it exists already" means that it is done.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from alembic import op
from alembic.ddl.mysql import MySQLImpl
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import ExecutableDDLElement

JOURNAL = Table(
    "migration_journal",
    MetaData(),
    Column("revision", String(64), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("is_done", Boolean, nullable=False),
)
# Table, column, key or constraint: exists already, or is gone already.
ALREADY_DONE = frozenset({1050, 1051, 1060, 1061, 1068, 1091, 1826, 3822})
DDL_WORDS = ("ALTER", "CREATE", "DROP", "RENAME", "TRUNCATE")


class InterruptedMigration(Exception):
    """The database holds half of another migration than the one that is to run; the text says which."""


class Journal:
    """The statements of the migration that is under way on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._revision: str | None = None
        self._position = 0
        self._known: dict[int, tuple[str, bool]] = {}

    def begin(self, digest: str) -> tuple[bool, bool]:
        """Note that the next statement begins; return whether it is done, and whether it had begun before.

        Raises:
            InterruptedMigration: another statement had begun in its place.
        """
        if self._revision is None:
            self._open()
        self._position += 1
        known, is_done = self._known.get(self._position, (None, False))
        if known not in (None, digest):
            raise InterruptedMigration(
                f"the migration that follows {self._revision!r} was interrupted, and its statement {self._position} is another now:"
                " finish it with the release that began it"
            )
        if known is None:
            self._connection.execute(
                insert(JOURNAL).values(**self._key(), digest=digest, is_done=False)
            )
            self._connection.commit()
        return is_done, known is not None

    def forget(self) -> None:
        """Take back the note of a statement that failed."""
        self._connection.rollback()
        self._connection.execute(delete(JOURNAL).filter_by(**self._key()))
        self._connection.commit()

    def end(self) -> None:
        """Note that the statement is done, and commit both."""
        self._connection.execute(update(JOURNAL).filter_by(**self._key()).values(is_done=True))
        self._connection.commit()

    def next_migration(self) -> None:
        """Be ready for the next migration: the version of the database has changed."""
        self._revision = None

    def close(self) -> None:
        """Remove the journal: no migration is under way."""
        JOURNAL.drop(self._connection, checkfirst=True)

    def _open(self) -> None:
        JOURNAL.create(self._connection, checkfirst=True)
        versions = self._connection.scalars(text("SELECT version_num FROM alembic_version"))
        self._revision = ",".join(sorted(versions))
        self._position = 0
        rows = self._connection.execute(select(JOURNAL).filter_by(revision=self._revision))
        self._known = {row.position: (row.digest, row.is_done) for row in rows}

    def _key(self) -> dict[str, Any]:
        return {"revision": self._revision, "position": self._position}


def run_step(name: str, step: Callable[[Connection], None]) -> None:
    """Run a step of a migration that reads rows before it writes, as one transaction with its note: wholly, and once.

    Args:
        name: what the journal calls it; another one than those of the migration's other steps.
        step: writes data alone, and commits nothing.
    """
    dialect = op.get_context().impl
    assert isinstance(dialect, RestartableImpl)  # noqa: S101 - env.py made sure of it
    dialect.run_step(name, step)


class RestartableImpl(MySQLImpl):
    """Alembic's MySQL, whose migrations go on where they were interrupted; takes the place of Alembic's own."""

    __dialect__ = "mysql"
    journal: Journal | None = None

    def _exec(self, construct: Any, *args: Any, **kwargs: Any) -> Any:
        if self.journal is None:
            return super()._exec(construct, *args, **kwargs)
        is_done, had_begun = self.journal.begin(self._digest(construct))
        if is_done:
            return None
        try:
            result = super()._exec(construct, *args, **kwargs)
        except DBAPIError as exc:
            if not (had_begun and _is_ddl(construct) and _error_number(exc) in ALREADY_DONE):
                if not exc.connection_invalidated:
                    self.journal.forget()
                raise
            result = None
        self.journal.end()
        return result

    def run_step(self, name: str, step: Callable[[Connection], None]) -> None:
        """See the function of this name."""
        connection = self.connection
        assert connection is not None and self.journal is not None  # noqa: S101, PT018 - a migration runs
        is_done, _ = self.journal.begin(self._digest(name))
        if not is_done:
            step(connection)
            self.journal.end()

    def _digest(self, construct: Any) -> str:
        shown = construct if isinstance(construct, str) else construct.compile(dialect=self.dialect)
        return hashlib.sha256(str(shown).encode()).hexdigest()


def _is_ddl(construct: Any) -> bool:
    if isinstance(construct, ExecutableDDLElement):
        return True
    return str(construct).lstrip().upper().startswith(DDL_WORDS)


def _error_number(exc: DBAPIError) -> object:
    return exc.orig.args[0] if exc.orig and exc.orig.args else None
