"""Which accounts may act, and what an operator does to one."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.id_lists import WANTED, encode_ids
from dal.db.models import User

MOST_IDS_PER_STATEMENT = 5_000
ACTIVE = text(f"""
    SELECT users.id FROM {WANTED}
    STRAIGHT_JOIN users ON users.id = wanted.id AND users.deleted_at IS NULL AND users.suspended_at IS NULL
""")  # noqa: S608 - names of this package, no values


class AccountState(StrEnum):
    """What an account may do; only an active one may log in and act."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as an operator sees it."""

    id: int
    name: str
    suspended_at: datetime | None
    deleted_at: datetime | None

    @property
    def state(self) -> AccountState:
        """Deletion is told before suspension."""
        if self.deleted_at:
            return AccountState.DELETED
        return AccountState.SUSPENDED if self.suspended_at else AccountState.ACTIVE


def may_act() -> ColumnElement[bool]:
    """Return the condition under which the account of a row of `users` may log in and act."""
    return and_(User.deleted_at.is_(None), User.suspended_at.is_(None))


async def list_active_ids(connection: AsyncConnection, user_ids: Collection[int]) -> set[int]:
    """Return those of `user_ids` whose accounts may act."""
    found: set[int] = set()
    wanted = list(user_ids)
    for start in range(0, len(wanted), MOST_IDS_PER_STATEMENT):
        ids = encode_ids(wanted[start : start + MOST_IDS_PER_STATEMENT])
        found.update(await connection.scalars(ACTIVE, {"ids": ids}))
    return found


async def find_account(connection: AsyncConnection, who: int | str) -> Account | None:
    """Return the account with this id or this exact name, deleted or not."""
    condition = User.id == who if isinstance(who, int) else User.user_name == who
    columns = (User.id, User.user_name, User.suspended_at, User.deleted_at)
    row = (await connection.execute(select(*columns).where(condition))).one_or_none()
    return Account(*row) if row else None


async def set_account_state(connection: AsyncConnection, user_id: int, state: AccountState) -> None:
    """Put an account into a state; safe to repeat, the first time stays."""
    now = func.utc_timestamp(3)
    changes: dict[AccountState, dict[str, Any]] = {
        AccountState.ACTIVE: {"suspended_at": None, "deleted_at": None},
        AccountState.SUSPENDED: {"suspended_at": func.coalesce(User.suspended_at, now)},
        AccountState.DELETED: {"deleted_at": func.coalesce(User.deleted_at, now)},
    }
    await connection.execute(update(User).where(User.id == user_id).values(changes[state]))
