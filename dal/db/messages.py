"""Queries on `messages` and `conversations`.

Sending locks the conversation's row until the commit and takes a time above its last one: commit order is time order, so that a
reader who asks for what is newer than the last time it saw misses nothing. Texts are encrypted; nothing here can read them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, insert, or_, select, update
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from dal.db.models import Conversation, Message
from dal.db.users import require_user
from dal.participants import Participants
from pkg.crypt.messages import MessageIdentity
from pkg.paging import FROM_THE_START


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message as it is stored; `content` is encrypted under the data key, 0 for one of the original."""

    id: int
    from_user_id: int
    to_user_id: int
    content: str
    data_key_id: int
    created_at_ms: int

    @property
    def identity(self) -> MessageIdentity:
        """What the content is bound to."""
        return MessageIdentity(self.from_user_id, self.to_user_id, self.created_at_ms)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message on its way; `encrypt` is called once, when its time is known."""

    from_user_id: int
    to_user_id: int
    data_key_id: int
    encrypt: Callable[[MessageIdentity], str]

    @property
    def participants(self) -> Participants:
        """Whose conversation it belongs to."""
        return Participants.of(self.from_user_id, self.to_user_id)


class MarkFenced(Exception):
    """A reader cleared the mark under which this was sent: nothing was written, a mark above `fence` is needed."""

    def __init__(self, fence: int) -> None:
        super().__init__(fence)
        self.fence = fence


COLUMNS: tuple[InstrumentedAttribute[Any], ...] = (
    Message.id,
    Message.from_user_id,
    Message.to_user_id,
    Message.content,
    Message.data_key_id,
    Message.created_at_ms,
)


async def insert_message(
    connection: AsyncConnection, draft: Draft, *, mark: int, now_ms: int
) -> int:
    """Write a message and return its time: now, or just after the last one where the clock stood still or went back.

    Raises:
        MarkFenced: the mark is not valid any more.
    """
    conversation = await _lock_conversation(connection, draft.participants)
    if mark <= conversation.fenced_mark:
        raise MarkFenced(conversation.fenced_mark)
    created_at_ms: int = max(now_ms, conversation.last_time_ms + 1)
    identity = MessageIdentity(draft.from_user_id, draft.to_user_id, created_at_ms)
    result = await connection.execute(
        insert(Message).values(
            conversation_id=conversation.id,
            from_user_id=draft.from_user_id,
            to_user_id=draft.to_user_id,
            content=draft.encrypt(identity),
            data_key_id=draft.data_key_id,
            created_at_ms=created_at_ms,
        )
    )
    await connection.execute(
        update(Conversation)
        .where(Conversation.id == conversation.id)
        .values(last_time_ms=created_at_ms, last_message_id=result.lastrowid)
    )
    return created_at_ms


async def fence_conversation(
    connection: AsyncConnection, *, reader_id: int, other_id: int, mark: int
) -> dict[int, int]:
    """Refuse every send with a mark up to `mark` from now on; return the time of each one's newest message, 0 for none.

    Does not wait for a send that is being written.

    Raises:
        UserNotFound: the two never wrote to each other, and nobody has the id `other_id`.
        TransactionConflict, DependencyUnavailable: a send is being written.
    """
    participants = Participants.of(reader_id, other_id)
    conversation = await _find_locked(connection, participants, nowait=True)
    if conversation is None:
        await require_user(connection, other_id)
        conversation = await _lock_conversation(connection, participants)
    fence = func.greatest(Conversation.fenced_mark, mark)
    await connection.execute(
        update(Conversation).where(Conversation.id == conversation.id).values(fenced_mark=fence)
    )
    return await map_latest_times(connection, participants)


async def map_latest_times(
    connection: AsyncConnection, participants: Participants
) -> dict[int, int]:
    """Return the time of each one's newest message to the other, 0 for none."""
    low_id, high_id = participants.low_id, participants.high_id
    return {
        sender_id: await _find_latest_ms(connection, sender_id, receiver_id)
        for sender_id, receiver_id in ((low_id, high_id), (high_id, low_id))
    }


async def list_history(
    connection: AsyncConnection,
    participants: Participants,
    *,
    before_ms: int = FROM_THE_START,
    limit: int,
) -> list[MessageRow]:
    """Return the latest messages of a conversation that are older than `before_ms`, newest first; no two have the same time."""
    statement = _of_conversation(participants).where(Message.created_at_ms < before_ms)
    statement = statement.order_by(Message.created_at_ms.desc()).limit(limit)
    # Without it the optimizer may take the whole conversation from that index, and read all that is newer than the page.
    statement = statement.with_hint(Message, "FORCE INDEX (ix_messages_conversation)")
    return await _list_rows(connection, statement)


async def list_newer(
    connection: AsyncConnection, participants: Participants, *, after_ms: int, limit: int
) -> list[MessageRow]:
    """Return the oldest messages of a conversation, in both directions, that are newer than `after_ms`, oldest first."""
    statement = _of_conversation(participants).where(Message.created_at_ms > after_ms)
    return await _list_rows(connection, statement.order_by(Message.created_at_ms).limit(limit))


async def list_newer_from(
    connection: AsyncConnection, *, sender_id: int, receiver_id: int, after_ms: int, limit: int
) -> list[MessageRow]:
    """Return the oldest messages of one to the other that are newer than `after_ms`, oldest first."""
    statement = select(*COLUMNS).where(
        Message.from_user_id == sender_id,
        Message.to_user_id == receiver_id,
        Message.created_at_ms > after_ms,
        Message.deleted_at.is_(None),
    )
    return await _list_rows(connection, statement.order_by(Message.created_at_ms).limit(limit))


async def find_last_time_ms(connection: AsyncConnection, participants: Participants) -> int:
    """Return the time of the last message of a conversation, 0 where there is none."""
    statement = select(Conversation.last_time_ms).where(_is_between(participants))
    return (await connection.execute(statement)).scalar_one_or_none() or 0


async def map_latest_messages(
    connection: AsyncConnection, user_id: int, other_ids: Collection[int]
) -> Mapping[int, MessageRow]:
    """Return the latest message between a user and each of others, where there is one, by the other's id; one query."""
    if not other_ids:
        return {}
    lower = [other_id for other_id in other_ids if other_id < user_id]
    higher = [other_id for other_id in other_ids if other_id > user_id]
    statement = (
        select(*COLUMNS)
        .join(Conversation, Conversation.last_message_id == Message.id)
        .where(
            or_(
                and_(Conversation.low_user_id == user_id, Conversation.high_user_id.in_(higher)),
                and_(Conversation.low_user_id.in_(lower), Conversation.high_user_id == user_id),
            ),
            Message.deleted_at.is_(None),
        )
    )
    rows = await _list_rows(connection, statement)
    return {row.from_user_id + row.to_user_id - user_id: row for row in rows}


async def _lock_conversation(connection: AsyncConnection, participants: Participants) -> Any:
    conversation = await _find_locked(connection, participants)
    if conversation is not None:
        return conversation
    # Of two first messages at the same time one waits here for the other's commit.
    statement = mysql_insert(Conversation).values(
        low_user_id=participants.low_id, high_user_id=participants.high_id, last_time_ms=0
    )
    await connection.execute(statement.on_duplicate_key_update(low_user_id=participants.low_id))
    return await _find_locked(connection, participants)


async def _find_locked(
    connection: AsyncConnection, participants: Participants, *, nowait: bool = False
) -> Any:
    statement = select(Conversation.id, Conversation.last_time_ms, Conversation.fenced_mark)
    statement = statement.where(_is_between(participants)).with_for_update(nowait=nowait)
    return (await connection.execute(statement)).one_or_none()


async def _find_latest_ms(connection: AsyncConnection, sender_id: int, receiver_id: int) -> int:
    statement = (
        select(Message.created_at_ms)
        .where(
            Message.from_user_id == sender_id,
            Message.to_user_id == receiver_id,
            Message.deleted_at.is_(None),
        )
        .order_by(Message.created_at_ms.desc())
        .limit(1)
    )
    return (await connection.execute(statement)).scalar_one_or_none() or 0


def _of_conversation(participants: Participants) -> Select[Any]:
    return (
        select(*COLUMNS)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(_is_between(participants), Message.deleted_at.is_(None))
    )


def _is_between(participants: Participants) -> Any:
    return and_(
        Conversation.low_user_id == participants.low_id,
        Conversation.high_user_id == participants.high_id,
    )


async def _list_rows(connection: AsyncConnection, statement: Select[Any]) -> list[MessageRow]:
    return [MessageRow(*row) for row in await connection.execute(statement)]
