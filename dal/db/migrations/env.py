"""Runs migrations on the source; `dal.db.migrate` gives the connection."""

from alembic import context
from sqlalchemy import Connection

from dal.db.models import Base


def run(connection: Connection) -> None:
    """Run what Alembic was asked for on `connection`."""
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
