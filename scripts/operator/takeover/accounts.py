"""Accounts: they keep id, name and password, as far as today's rules let somebody log in with them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from sqlalchemy import Table

from dal.db.models import DEFAULT_AVATAR, DEFAULT_BACKGROUND, User
from dal.db.takeover.original import USERS_BY_ID
from dal.db.takeover.target import Rows, table_of
from pkg.errors import InvalidParameter
from pkg.names import clean_user_name, make_name_keys
from pkg.text import clean_name
from scripts.operator.takeover.findings import Findings, Kind
from scripts.operator.takeover.objects import MediaFiles
from scripts.operator.takeover.step import Step, Taken, is_usable
from scripts.operator.takeover.texts import clean_line, keep_text
from scripts.operator.takeover.times import Clock, to_column
from services.buckets import USER_AVATARS_BUCKET, USER_BACKGROUNDS_BUCKET
from services.user.accounts import MAX_NAME_CHARS

MD5 = re.compile(r"[0-9a-f]{32}")
# No password has it for a hash, and a login takes as long as any other.
NO_PASSWORD = ""
MAX_SIGNATURE_CHARS = 255
KEY_COLUMNS = ("name_look_key", "name_capital_key", "name_fold_key")


class Names:
    """Names and looks of names that have an owner."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._keys: tuple[set[bytes], ...] = (set(), set(), set())

    def restore(self, rows: Iterable[Any]) -> None:
        """Take notice of accounts that are there: id, name and three keys."""
        for _, name, *keys in rows:
            self._names.add(name)
            for owned, key in zip(self._keys, keys, strict=True):
                if key is not None:
                    owned.add(bytes(key))

    def take(self, stored: str | None, user_id: int, findings: Findings) -> str:
        """Return the name of an account: its own, tidied, or another where nobody could log in with it."""
        what = f"user {user_id}: {stored!r}"
        tidied = clean_line(stored, max_chars=MAX_NAME_CHARS)
        name = tidied if _can_log_in(stored or "") else ""
        if not name or name in self._names:
            name = self._make_name(tidied or "user", user_id)
            findings.add(Kind.NAME_REPLACED, f"{what} is now {name!r}")
        elif name != stored:
            findings.add(Kind.NAME_TIDIED, what)
        elif not _could_register(name):
            findings.add(Kind.NAME_LIKE_A_NEW_ONE_MUST_NOT_BE, what)
        self._names.add(name)
        return name

    def take_keys(self, name: str, user_id: int, findings: Findings) -> dict[str, bytes | None]:
        """Return the keys of a name; those that an older account owns are None."""
        kept: dict[str, bytes | None] = {}
        keys = astuple(make_name_keys(name))
        for column, owned, key in zip(KEY_COLUMNS, self._keys, keys, strict=True):
            kept[column] = None if key in owned else key
            owned.add(key)
        if None in kept.values():
            findings.add(Kind.NAME_LOOKS_ALIKE, f"user {user_id}: {name!r}")
        return kept

    def _make_name(self, stem: str, user_id: int) -> str:
        ending = f"_{user_id}"
        while True:
            name = stem[: MAX_NAME_CHARS - len(ending)] + ending
            if name not in self._names:
                return name
            ending = f"_{ending}"


class Accounts(Step):
    """`users`. Counters are set at the end."""

    name = "accounts"
    query = USERS_BY_ID
    rows_per_batch = 1_000

    def __init__(self, taken: Taken, clock: Clock, *, names: Names, files: MediaFiles) -> None:
        super().__init__(taken, clock)
        self._names = names
        self._files = files

    async def convert(self, rows: Sequence[Any], findings: Findings) -> Mapping[Table, Rows]:
        accounts = [
            await self._convert(row, findings)
            for row in rows
            if is_usable(row.id, findings, f"user {row.id}")
        ]
        self.taken.users.update(account["id"] for account in accounts)
        return {table_of(User): accounts}

    async def _convert(self, row: Any, findings: Findings) -> dict[str, Any]:
        what = f"user {row.id}"
        name = self._names.take(row.user_name, row.id, findings)
        deleted_at = self.clock.find_deletion(row.deleted_at)
        if deleted_at:
            findings.add(Kind.ACCOUNT_DELETED, f"{what}: {name!r}")
        files = self._files
        return {
            "id": row.id,
            "user_name": name,
            **self._names.take_keys(name, row.id, findings),
            "password": _keep_password(row.password, findings, what),
            "avatar": await files.keep_picture(
                USER_AVATARS_BUCKET, row.avatar, findings, what=what, default=DEFAULT_AVATAR
            ),
            "background_image": await files.keep_picture(
                USER_BACKGROUNDS_BUCKET,
                row.background_image,
                findings,
                what=what,
                default=DEFAULT_BACKGROUND,
            ),
            "signature": keep_text(
                row.signature, findings, f"{what}: signature", max_chars=MAX_SIGNATURE_CHARS
            ),
            "created_at": to_column(self.clock.read(row.created_at, findings, what)),
            "deleted_at": deleted_at,
        }


def _keep_password(stored: str | None, findings: Findings, what: str) -> str:
    digest = (stored or "").strip().lower()
    if MD5.fullmatch(digest):
        return digest
    # It may be the password itself, which must not lie in our tables.
    findings.add(Kind.PASSWORD_UNUSABLE, what)
    return NO_PASSWORD


def _can_log_in(name: str) -> bool:
    try:
        clean_name(name, label="name", max_chars=MAX_NAME_CHARS)
    except InvalidParameter:
        return False
    return True


def _could_register(name: str) -> bool:
    try:
        clean_user_name(name, label="name", max_chars=MAX_NAME_CHARS)
    except InvalidParameter:
        return False
    return True
