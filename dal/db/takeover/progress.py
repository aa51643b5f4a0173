"""How far a takeover is: a table beside ours, written in the transactions that write the rows.

So a takeover that was killed goes on behind the last row that it wrote, and knows what it had found until then.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    MetaData,
    String,
    Table,
    false,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable

from dal.db.models import TABLE_OPTIONS, Base

BEGIN = "begin"
PROGRESS = Table(
    "takeover_progress",
    MetaData(),
    Column("step", String(32), primary_key=True),
    Column("rows_read", BigInteger, nullable=False),
    Column("is_done", Boolean, nullable=False),
    Column("state", LONGTEXT, nullable=False),
    Column("findings", LONGTEXT, nullable=False),
    mysql_charset=TABLE_OPTIONS["mysql_charset"],
    mysql_collate=TABLE_OPTIONS["mysql_collate"],
)
# Filled by the migrations.
BORN_WITH_ROWS = frozenset({"flush_guards", "publication_clock", "replication_term"})


@dataclass
class StepProgress:
    """One step: how many rows of the source it has dealt with, what it must remember, and what it found, both as JSON."""

    step: str
    rows_read: int = 0
    is_done: bool = False
    state: dict[str, Any] = field(default_factory=dict)
    findings: dict[str, Any] = field(default_factory=dict)


class AnotherTakeover(Exception):
    """Somebody else has moved this step on; nothing was written."""


async def list_progress(connection: AsyncConnection) -> dict[str, StepProgress]:
    """Return every step that has begun by its name; none where no takeover has."""
    exists = await connection.scalar(
        text(
            "SELECT COUNT(*) FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_name = :name"
        ),
        {"name": PROGRESS.name},
    )
    if not exists:
        return {}
    rows = await connection.execute(select(PROGRESS))
    return {
        row.step: StepProgress(
            row.step,
            row.rows_read,
            row.is_done,
            orjson.loads(row.state),
            orjson.loads(row.findings),
        )
        for row in rows
    }


async def find_table_in_use(connection: AsyncConnection) -> str | None:
    """Return the name of one of our tables that holds a row, or None where nobody has ever used the database."""
    for table in Base.metadata.sorted_tables:
        if table.name in BORN_WITH_ROWS:
            continue
        if (await connection.execute(select(text("1")).select_from(table).limit(1))).first():
            return table.name
    return None


async def create_progress(connection: AsyncConnection) -> None:
    """Make the table; harmless where it is."""
    await connection.execute(CreateTable(PROGRESS, if_not_exists=True))


async def begin_step(connection: AsyncConnection, step: StepProgress) -> None:
    """Write the first row of a step.

    Raises:
        AnotherTakeover: it is there.
    """
    try:
        await connection.execute(insert(PROGRESS).values(_values(step)))
    except IntegrityError as exc:
        raise AnotherTakeover from exc


async def move_step(connection: AsyncConnection, step: StepProgress, *, rows_before: int) -> None:
    """Write how far a step is now; part of the transaction that writes its rows.

    Raises:
        AnotherTakeover: it was not at `rows_before`.
    """
    statement = update(PROGRESS).where(
        PROGRESS.c.step == step.step,
        PROGRESS.c.rows_read == rows_before,
        PROGRESS.c.is_done == false(),
    )
    if (await connection.execute(statement.values(_values(step)))).rowcount != 1:
        raise AnotherTakeover


def _values(step: StepProgress) -> dict[str, Any]:
    return {
        "step": step.step,
        "rows_read": step.rows_read,
        "is_done": step.is_done,
        "state": orjson.dumps(step.state).decode(),
        "findings": orjson.dumps(step.findings).decode(),
    }
