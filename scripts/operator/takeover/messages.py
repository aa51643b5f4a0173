"""Chat messages: read with the original's key, and encrypted under a data key of ours.

What an RSA key encrypted that may be public is worth no more than plain text; and reading it costs a third of a millisecond each time.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Table

from dal.db.models import Conversation, Message
from dal.db.takeover.original import MESSAGES_BY_CONVERSATION
from dal.db.takeover.target import Rows, table_of
from dal.participants import Participants
from pkg.crypt.messages import DataKey, MessageIdentity, OriginalKey, UnreadableMessage
from scripts.operator.takeover.findings import Findings, Kind
from scripts.operator.takeover.step import Step, Taken, is_usable
from scripts.operator.takeover.times import Clock, to_column

# The data key of a message that is still as the original wrote it.
ORIGINAL_KEY_ID = 0
# The column was too short for some: what is left of a ciphertext is no text, whatever its length.
CIPHERTEXT = re.compile(r"[A-Za-z0-9+/]{100,}={0,2}")


class MessageReader:
    """Reads the original's messages on every core. None: the operator has no key."""

    def __init__(self, key: OriginalKey | None, threads: ThreadPoolExecutor) -> None:
        self._key = key
        self._threads = threads

    async def read(self, stored: Sequence[str]) -> list[str | None]:
        """Return the texts in this order; None for what cannot be read."""
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(self._threads, self._read, text) for text in stored)
        )

    def is_plain(self, stored: str) -> bool:
        """Tell whether a text was never encrypted: the original's first releases did not."""
        if self._key is not None and self._key.is_ciphertext(stored):
            return False
        return not CIPHERTEXT.fullmatch(stored)

    def _read(self, stored: str) -> str | None:
        if self.is_plain(stored):
            return stored
        try:
            return self._key.decrypt(stored) if self._key else None
        except UnreadableMessage:
            return None


class Messages(Step):
    """`messages`, conversation after conversation; no two of one have the same time."""

    name = "messages"
    query = MESSAGES_BY_CONVERSATION
    rows_per_batch = 2_000

    def __init__(
        self, taken: Taken, clock: Clock, *, reader: MessageReader, data_key: DataKey
    ) -> None:
        super().__init__(taken, clock)
        self._reader = reader
        self._data_key = data_key
        self.state = {"pair": None, "conversation_id": 0, "last_ms": 0}

    async def convert(self, rows: Sequence[Any], findings: Findings) -> Mapping[Table, Rows]:
        wanted = [row for row in rows if self._is_wanted(row, findings)]
        texts = await self._reader.read([row.content or "" for row in wanted])
        conversations: Rows = []
        messages = []
        for row, text in zip(wanted, texts, strict=True):
            participants = Participants.of(row.from_user_id, row.to_user_id)
            conversations += self._begin_conversation(participants)
            messages.append(self._convert(row, text, findings))
        return {table_of(Conversation): conversations, table_of(Message): messages}

    def _is_wanted(self, row: Any, findings: Findings) -> bool:
        what = f"message {row.id}"
        if not is_usable(row.id, findings, what):
            return False
        if row.from_user_id not in self.taken.users or row.to_user_id not in self.taken.users:
            findings.add(
                Kind.MESSAGE_WITHOUT_USER, f"{what} of {row.from_user_id} to {row.to_user_id}"
            )
            return False
        if row.from_user_id == row.to_user_id:
            findings.add(Kind.MESSAGE_TO_ONESELF, f"{what} of {row.from_user_id}")
            return False
        return True

    def _begin_conversation(self, participants: Participants) -> Rows:
        """Return the row of a conversation whose first message this is."""
        pair = [participants.low_id, participants.high_id]
        if pair == self.state["pair"]:
            return []
        number = self.state["conversation_id"] + 1
        self.state = {"pair": pair, "conversation_id": number, "last_ms": 0}
        return [{"id": number, "low_user_id": pair[0], "high_user_id": pair[1], "last_time_ms": 0}]

    def _convert(self, row: Any, text: str | None, findings: Findings) -> dict[str, Any]:
        what = f"message {row.id}"
        sent_ms = self.clock.read(row.created_at, findings, what)
        created_ms = max(sent_ms, self.state["last_ms"] + 1)
        if created_ms != sent_ms and sent_ms:
            findings.add(Kind.MESSAGE_TIME_MOVED, what)
        self.state["last_ms"] = created_ms
        content, data_key_id = row.content or "", ORIGINAL_KEY_ID
        if text is None:
            findings.add(Kind.MESSAGE_UNREADABLE, what)
        else:
            if text == row.content:
                findings.add(Kind.MESSAGE_PLAIN, what)
            identity = MessageIdentity(row.from_user_id, row.to_user_id, created_ms)
            content, data_key_id = self._data_key.encrypt(text, identity), self._data_key.id
        return {
            "id": row.id,
            "conversation_id": self.state["conversation_id"],
            "from_user_id": row.from_user_id,
            "to_user_id": row.to_user_id,
            "content": content,
            "data_key_id": data_key_id,
            "created_at_ms": created_ms,
            "created_at": to_column(sent_ms),
            "deleted_at": self.clock.find_deletion(row.deleted_at),
        }
