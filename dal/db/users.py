"""Queries on `users`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from dal.db.accounts import may_act
from dal.db.models import User
from pkg.errors import UserNameTaken, UserNotFound
from pkg.names import NameKeys


class UserRow(NamedTuple):
    """What a user's card shows; names of pictures are object keys."""

    id: int
    name: str
    following_count: int
    follower_count: int
    avatar: str
    background_image: str
    signature: str
    total_favorited: int
    work_count: int
    favorite_count: int


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login is checked against."""

    user_id: int
    password_hash: str


CARD: tuple[InstrumentedAttribute[Any], ...] = (
    User.id,
    User.user_name,
    User.following_count,
    User.follower_count,
    User.avatar,
    User.background_image,
    User.signature,
    User.total_favorited,
    User.work_count,
    User.favorite_count,
)

EXISTING = select(*CARD).where(
    User.id.in_(bindparam("ids", expanding=True)), User.deleted_at.is_(None)
)

IS_THERE = select(User.id).where(User.id == bindparam("user"), User.deleted_at.is_(None))


async def insert_user(
    connection: AsyncConnection, *, name: str, password_hash: str, keys: NameKeys | None = None
) -> int:
    """Create an account and return its id.

    Args:
        keys: of the name; without them others may look like this account.

    Raises:
        UserNameTaken: the name or a key has an owner; unique keys pick one winner among concurrent registrations.
    """
    statement = insert(User).values(
        user_name=name,
        password=password_hash,
        name_look_key=keys.look_key if keys else None,
        name_capital_key=keys.capital_key if keys else None,
        name_fold_key=keys.fold_key if keys else None,
    )
    try:
        result = await connection.execute(statement)
    except IntegrityError as exc:
        raise UserNameTaken from exc
    return int(result.lastrowid)


async def find_credentials(connection: AsyncConnection, name: str) -> Credentials | None:
    """Return the credentials of a name, or None where nobody who may log in has it."""
    statement = select(User.id, User.password).where(User.user_name == name, may_act())
    row = (await connection.execute(statement)).one_or_none()
    return Credentials(*row) if row else None


async def replace_password_hash(
    connection: AsyncConnection, *, user_id: int, old_hash: str, new_hash: str
) -> None:
    """Store a stronger hash of the same password, unless the stored hash is no longer `old_hash`."""
    statement = update(User).where(User.id == user_id, User.password == old_hash)
    await connection.execute(statement.values(password=new_hash))


async def list_users(connection: AsyncConnection, user_ids: Sequence[int]) -> list[UserRow]:
    """Return the users among `user_ids` that exist, in no order."""
    if not user_ids:
        return []
    rows = await connection.execute(EXISTING, {"ids": list(user_ids)})
    return [UserRow(*row) for row in rows]


async def require_user(connection: AsyncConnection, user_id: int) -> None:
    """Check that a user exists.

    Raises:
        UserNotFound: nobody has this id.
    """
    if (await connection.execute(IS_THERE, {"user": user_id})).one_or_none() is None:
        raise UserNotFound
