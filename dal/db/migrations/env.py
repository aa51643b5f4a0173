"""Runs migrations on the source; `dal.db.migrate` gives the connection."""

from alembic import context
from sqlalchemy import Connection

from dal.db.migrations.journal import JOURNAL, Journal, RestartableImpl
from dal.db.models import Base


def run(connection: Connection) -> None:
    """Run what Alembic was asked for on `connection`; a migration that was interrupted goes on."""
    journal = Journal(connection)
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        on_version_apply=lambda **_facts: journal.next_migration(),
        include_name=lambda name, _kind, _parents: name != JOURNAL.name,
    )
    dialect = context.get_context().impl
    assert isinstance(dialect, RestartableImpl)  # noqa: S101 - the import above registers it
    with context.begin_transaction():
        dialect.journal = journal
        context.run_migrations()
        dialect.journal = None
        journal.close()


run(context.config.attributes["connection"])
