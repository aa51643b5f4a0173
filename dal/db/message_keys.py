"""Queries on `message_data_keys`: the wrapped keys that chat messages are encrypted with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.models import MessageDataKey

# Every process that makes the first key gives it this id, so that one of them wins.
FIRST_ID = 1


@dataclass(frozen=True, slots=True)
class DataKeyRow:
    """A data key, wrapped under the RSA pair `pair_id`, in base64."""

    id: int
    pair_id: str
    wrapped: str


COLUMNS = (MessageDataKey.id, MessageDataKey.wrapping_key_id, MessageDataKey.wrapped_key)


async def find_newest_data_key(connection: AsyncConnection) -> DataKeyRow | None:
    """Return the key for new messages, or None where no message was ever sent."""
    statement = select(*COLUMNS).order_by(MessageDataKey.id.desc()).limit(1)
    row = (await connection.execute(statement)).one_or_none()
    return DataKeyRow(*row) if row else None


async def list_wrapping_pairs(connection: AsyncConnection) -> set[str]:
    """Return which RSA pairs wrap a data key of messages."""
    return set(await connection.scalars(select(MessageDataKey.wrapping_key_id).distinct()))


async def find_newest_creation(connection: AsyncConnection) -> datetime | None:
    """Return when the newest key was made, or None where no message was ever sent."""
    made = await connection.scalar(select(func.max(MessageDataKey.created_at)))
    return made.replace(tzinfo=UTC) if made else None


async def list_data_keys(connection: AsyncConnection, key_ids: Sequence[int]) -> list[DataKeyRow]:
    """Return the keys among `key_ids` that exist, in no order."""
    statement = select(*COLUMNS).where(MessageDataKey.id.in_(key_ids))
    return [DataKeyRow(*row) for row in await connection.execute(statement)]


async def insert_first_data_key(connection: AsyncConnection, *, pair_id: str, wrapped: str) -> None:
    """Store the first key, unless another process has just done so."""
    statement = mysql_insert(MessageDataKey).values(
        id=FIRST_ID, wrapping_key_id=pair_id, wrapped_key=wrapped
    )
    await connection.execute(statement.on_duplicate_key_update(id=FIRST_ID))


async def insert_data_key(connection: AsyncConnection, *, pair_id: str, wrapped: str) -> int:
    """Store a key that new messages use from now on; return its id."""
    statement = insert(MessageDataKey).values(wrapping_key_id=pair_id, wrapped_key=wrapped)
    return int((await connection.execute(statement)).lastrowid)


async def lock_data_keys(connection: AsyncConnection) -> list[DataKeyRow]:
    """Return every key, locked until the transaction ends."""
    statement = select(*COLUMNS).order_by(MessageDataKey.id).with_for_update()
    return [DataKeyRow(*row) for row in await connection.execute(statement)]


async def replace_wrapping(
    connection: AsyncConnection, *, key_id: int, pair_id: str, wrapped: str
) -> None:
    """Store the same key, wrapped under another pair."""
    statement = update(MessageDataKey).where(MessageDataKey.id == key_id)
    await connection.execute(statement.values(wrapping_key_id=pair_id, wrapped_key=wrapped))
