"""Chat messages between cipher and text, for the services that show them: data keys are read once and kept unwrapped in memory."""

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from loguru import logger

from dal.db.engine import Database
from dal.db.message_keys import (
    DataKeyRow,
    find_newest_data_key,
    insert_first_data_key,
    list_data_keys,
)
from dal.db.messages import MessageRow, map_latest_messages
from pkg.crypt.messages import CryptSettings, DataKey, UnreadableMessage, WrappingKeys
from pkg.settings import SettingsError

ORIGINAL_KEY_ID = 0
# A key that `scripts/rotate-keys` made is used by every process after this.
NEWEST_KEY_LIFETIME_S = 60.0
# Shown in the place of a message whose key is lost: the others of its conversation stay readable.
UNREADABLE = "[此消息无法显示]"


@dataclass(frozen=True, slots=True)
class LatestMessage:
    """The last message between two users, as one of them sees it."""

    text: str
    is_sent: bool  # by this user, not by the other one


class MessageTexts:
    """Reads stored messages, and gives the key for new ones."""

    def __init__(self, database: Database, settings: CryptSettings) -> None:
        self._database = database
        self._wrapping = WrappingKeys(settings)
        self._keys: dict[int, DataKey] = {}
        self._newest: DataKey | None = None
        self._newest_until = 0.0

    async def get_newest_key(self) -> DataKey:
        """Return the key for new messages; the first one is made when it is needed."""
        if self._newest is None or time.monotonic() > self._newest_until:
            self._newest = await self._unwrap(await self._get_newest_row())
            self._newest_until = time.monotonic() + NEWEST_KEY_LIFETIME_S
        return self._newest

    async def decrypt(self, rows: Sequence[MessageRow]) -> list[str]:
        """Return the text of each row. One that no key can read is replaced, and said in the log."""
        await self._load_keys({row.data_key_id for row in rows} - {ORIGINAL_KEY_ID})
        if any(row.data_key_id == ORIGINAL_KEY_ID for row in rows):
            # RSA takes about a millisecond for each.
            return await asyncio.to_thread(self._decrypt_all, rows)
        return self._decrypt_all(rows)

    async def map_latest(
        self, user_id: int, other_ids: Collection[int]
    ) -> dict[int, LatestMessage]:
        """Return the latest message between a user and each of others, where there is one; one query for all of them."""
        async with self._database.read_source() as connection:
            rows = await map_latest_messages(connection, user_id, other_ids)
        texts = await self.decrypt(list(rows.values()))
        return {
            other_id: LatestMessage(text, is_sent=row.from_user_id == user_id)
            for (other_id, row), text in zip(rows.items(), texts, strict=True)
        }

    def _decrypt_all(self, rows: Iterable[MessageRow]) -> list[str]:
        return [self._decrypt(row) for row in rows]

    def _decrypt(self, row: MessageRow) -> str:
        try:
            if row.data_key_id == ORIGINAL_KEY_ID:
                return self._wrapping.decrypt_original(row.content)
            key = self._keys.get(row.data_key_id)
            if key is None:
                raise UnreadableMessage
            return key.decrypt(row.content, row.identity)
        except UnreadableMessage:
            logger.bind(message_id=row.id, data_key_id=row.data_key_id).error("message unreadable")
            return UNREADABLE

    async def _get_newest_row(self) -> DataKeyRow:
        async with self._database.read_source() as connection:
            newest = await find_newest_data_key(connection)
        if newest is not None:
            return newest
        wrapped = await asyncio.to_thread(self._wrapping.make_wrapped)
        async with self._database.write() as connection:
            await insert_first_data_key(
                connection, pair_id=self._wrapping.current_id, wrapped=wrapped
            )
        # Now there is one, ours or that of a process that was sooner.
        return await self._get_newest_row()

    async def _load_keys(self, key_ids: set[int]) -> None:
        missing = key_ids - self._keys.keys()
        if not missing:
            return
        async with self._database.read_source() as connection:
            rows = await list_data_keys(connection, sorted(missing))
        for row in rows:
            try:
                await self._unwrap(row)
            except SettingsError as exc:
                # The messages under this key are shown as unreadable, all others as they are.
                logger.bind(data_key=row.id, pair=row.pair_id, error=str(exc)).error("key missing")

    async def _unwrap(self, row: DataKeyRow) -> DataKey:
        if row.id not in self._keys:
            self._keys[row.id] = await asyncio.to_thread(
                self._wrapping.unwrap, row.id, row.wrapped, pair_id=row.pair_id
            )
        return self._keys[row.id]
