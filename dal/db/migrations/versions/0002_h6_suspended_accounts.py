"""Accounts can be suspended."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002_h6"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # MySQL commits each statement that changes a table: a migration that was interrupted finds the column and goes on.
    # `ADD COLUMN IF NOT EXISTS` is MariaDB's alone.
    if not _has_column():
        op.add_column("users", sa.Column("suspended_at", mysql.DATETIME(fsp=3), nullable=True))


def downgrade() -> None:
    if _has_column():
        op.drop_column("users", "suspended_at")


def _has_column() -> bool:
    columns = sa.inspect(op.get_bind()).get_columns("users")
    return any(column["name"] == "suspended_at" for column in columns)
