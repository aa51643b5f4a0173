"""Names that a person takes for one another get the same keys; accounts that exist keep their names."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from dal.db.migrations.journal import run_step
from pkg.names import make_name_keys

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = ("name_look_key", "name_capital_key", "name_fold_key")
BATCH = 1000
users = sa.table(
    "users",
    sa.column("id", mysql.BIGINT(unsigned=True)),
    sa.column("user_name", sa.String),
    sa.column("updated_at", mysql.DATETIME(fsp=3)),
    *(sa.column(name, mysql.BINARY(32)) for name in COLUMNS),
)


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("users", sa.Column(name, mysql.BINARY(32), nullable=True))
    run_step("fill the keys of names", _fill)
    for name in COLUMNS:
        _leave_to_the_oldest(name)
        op.create_unique_constraint(f"uq_users_{name}", "users", [name])


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_constraint(f"uq_users_{name}", "users", type_="unique")
        op.drop_column("users", name)


def _fill(connection: sa.Connection) -> None:
    """Give every account the keys of its name."""
    statement = users.update().where(users.c.id == sa.bindparam("user"))
    # The row was not changed by anybody: its time stays.
    statement = statement.values(
        name_look_key=sa.bindparam("look"),
        name_capital_key=sa.bindparam("capital"),
        name_fold_key=sa.bindparam("fold"),
        updated_at=users.c.updated_at,
    )
    for batch in _list_names(connection):
        keys = [(user_id, make_name_keys(name)) for user_id, name in batch]
        connection.execute(
            statement,
            [
                {
                    "user": user_id,
                    "look": key.look_key,
                    "capital": key.capital_key,
                    "fold": key.fold_key,
                }
                for user_id, key in keys
            ],
        )


def _list_names(connection: sa.Connection) -> Iterator[Sequence[tuple[int, str]]]:
    last_id = 0
    while True:
        page = sa.select(users.c.id, users.c.user_name).where(users.c.id > last_id)
        rows = connection.execute(page.order_by(users.c.id).limit(BATCH)).all()
        if not rows:
            return
        yield [(int(row.id), str(row.user_name)) for row in rows]
        last_id = rows[-1].id


def _leave_to_the_oldest(name: str) -> None:
    """Take the key from all accounts but the oldest that has it: they keep their names."""
    op.execute(
        f"UPDATE users AS younger JOIN (SELECT {name}, MIN(id) AS oldest_id FROM users GROUP BY {name}) AS owners"  # noqa: S608 - a name of ours
        f" ON younger.{name} = owners.{name} AND younger.id > owners.oldest_id"
        f" SET younger.{name} = NULL, younger.updated_at = younger.updated_at"
    )
