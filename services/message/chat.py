"""Sending and reading messages, so that no poller misses one or sees it twice, and an empty poll asks Redis alone.

MySQL (commit order is time order) and the marks of dal/redis/chat.py keep this promise; this module takes their steps in the right order.
Reading writes nothing that stays, but where a send has left something behind.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from cachetools import TTLCache
from loguru import logger

from dal.db.engine import Database, TransactionConflict, retry_conflicts
from dal.db.messages import (
    Draft,
    MarkFenced,
    MessageRow,
    fence_conversation,
    find_last_time_ms,
    insert_message,
    list_history,
    list_newer,
    list_newer_from,
    map_latest_times,
)
from dal.db.users import require_user
from dal.participants import Participants
from dal.redis.chat import WITNESS_LIFETIME_S, ChatMarks, Look, Witness
from pkg.breaker import CircuitBreaker
from pkg.clock import now_ms
from pkg.errors import DeadlineExceeded, DependencyUnavailable
from pkg.paging import FROM_THE_START, Page, PageRequest, make_page

PAGE = 100
NEWEST = PageRequest(PAGE)
MARK_ATTEMPTS = 5
LOOK_TIMEOUT_S = 0.5
# Conversations of which Redis knows nothing, whose newest times this process remembers; whose turn was longest ago is forgotten first.
REMEMBERED = 20_000


class Chat:
    """The conversations between people; texts pass through it encrypted."""

    def __init__(
        self, database: Database, marks: ChatMarks, *, clock_ms: Callable[[], int] = now_ms
    ) -> None:
        self._database = database
        self._marks = marks
        self._clock_ms = clock_ms
        self._breaker = CircuitBreaker("chat reads without redis", timeout_s=LOOK_TIMEOUT_S)
        self._silent: TTLCache[Participants, tuple[Witness, Mapping[int, int]]] = TTLCache(
            REMEMBERED, WITNESS_LIFETIME_S
        )

    async def send(self, draft: Draft) -> int:
        """Store a message and return its time; then every reader can see it.

        Raises:
            DependencyUnavailable, DeadlineExceeded: it may or may not have been stored.
        """
        fence = 0
        for _ in range(MARK_ATTEMPTS):
            mark = await self._marks.mark(draft.participants, above=fence)
            try:
                created_at_ms = await retry_conflicts(partial(self._insert, draft, mark))
            except MarkFenced as exc:
                fence = exc.fence
                continue
            # On any other error the mark stays: whether the message was committed is for a reader to find out.
            await self._settle(draft, mark, created_at_ms)
            return created_at_ms
        raise DependencyUnavailable(detail="chat: fenced every time")

    async def list_history(
        self, reader_id: int, other_id: int, wanted: PageRequest = NEWEST
    ) -> Page[MessageRow]:
        """Return a page of a conversation, oldest first; the pages go back in time from the latest messages.

        Raises:
            UserNotFound: nobody has the id `other_id`, and there are no messages.
        """
        participants = Participants.of(reader_id, other_id)
        # What is older than a message that was read once does not change: only the latest may still be on their way.
        if wanted.before == FROM_THE_START:
            look = await self._look(participants, (reader_id, other_id))
            if look.latest_ms == 0:
                return Page([])
            await self._recover_if_needed(look, reader_id, other_id)
        async with self._database.read_source() as connection:
            rows = await list_history(
                connection, participants, before_ms=wanted.before, limit=wanted.fetch_limit
            )
            if not rows:
                await require_user(connection, other_id)
        page = make_page(rows, wanted, key=lambda row: row.created_at_ms)
        return Page(page.items[::-1], page.next_cursor)

    async def list_new_from(
        self, other_id: int, reader_id: int, *, after_ms: int
    ) -> list[MessageRow]:
        """Return the oldest 100 messages from the other one that are newer than `after_ms`, oldest first."""
        look = await self._look(Participants.of(reader_id, other_id), (other_id,))
        if look.latest_ms is not None and look.latest_ms <= after_ms:
            return []
        await self._recover_if_needed(look, reader_id, other_id)
        async with self._database.read_source() as connection:
            return await list_newer_from(
                connection,
                sender_id=other_id,
                receiver_id=reader_id,
                after_ms=after_ms,
                limit=PAGE,
            )

    async def list_new(self, reader_id: int, other_id: int, *, after_ms: int) -> list[MessageRow]:
        """Return the oldest 100 messages of both that are newer than `after_ms`, oldest first."""
        participants = Participants.of(reader_id, other_id)
        look = await self._look(participants, (reader_id, other_id))
        if look.latest_ms is not None and look.latest_ms <= after_ms:
            return []
        await self._recover_if_needed(look, reader_id, other_id)
        async with self._database.read_source() as connection:
            return await list_newer(connection, participants, after_ms=after_ms, limit=PAGE)

    async def get_last_time_ms(self, reader_id: int, other_id: int) -> int:
        """Return the time of the last message of a conversation, 0 where there is none.

        Raises:
            UserNotFound: nobody has the id `other_id`, and there are no messages.
        """
        async with self._database.read_source() as connection:
            last_ms = await find_last_time_ms(connection, Participants.of(reader_id, other_id))
            if last_ms == 0:
                await require_user(connection, other_id)
        return last_ms

    async def require_user(self, user_id: int) -> None:
        """Check that a user exists.

        Raises:
            UserNotFound: nobody has this id.
        """
        async with self._database.read_source() as connection:
            await require_user(connection, user_id)

    async def _insert(self, draft: Draft, mark: int) -> int:
        async with self._database.write() as connection:
            return await insert_message(connection, draft, mark=mark, now_ms=self._clock_ms())

    async def _settle(self, draft: Draft, mark: int, created_at_ms: int) -> None:
        sender_id = draft.from_user_id
        try:
            await self._marks.settle(
                draft.participants, mark, sender_id=sender_id, created_at_ms=created_at_ms
            )
        except DependencyUnavailable as exc:
            # The message is stored, and the mark makes readers find it.
            logger.bind(cause=repr(exc.__cause__)).warning("chat mark left behind")

    async def _look(self, participants: Participants, senders: Sequence[int]) -> Look:
        """Return what Redis knows, or what this process remembers of a silent conversation; nothing, while Redis is down."""
        look = await self._breaker.ask(
            lambda: self._marks.look(participants, senders), otherwise=Look(None)
        )
        witness, latest_ms = self._silent.get(participants, (None, {}))
        if look.witness is None or look.witness != witness:
            return look
        return Look(max(latest_ms[sender_id] for sender_id in senders))

    async def _recover_if_needed(self, look: Look, reader_id: int, other_id: int) -> None:
        """Make Redis know the conversation again, or leave that to a later reader: MySQL answers this reader anyway.

        Of a silent conversation this process alone learns the newest times, so that looking at it leaves nothing behind.
        """
        if not look.needs_recovery:
            return
        if look.is_absent and await self._learn(look.witness, reader_id, other_id):
            return
        try:
            await self._recover(reader_id, other_id)
        except (DependencyUnavailable, DeadlineExceeded, TransactionConflict) as exc:
            logger.bind(cause=repr(exc)).info("chat recovery put off")

    async def _learn(self, witness: Witness | None, reader_id: int, other_id: int) -> bool:
        """Return whether this is all that can be done: what was sent a moment ago may be recovered as well."""
        participants = Participants.of(reader_id, other_id)
        async with self._database.read_source() as connection:
            latest_ms = await map_latest_times(connection, participants)
            if not any(latest_ms.values()):
                await require_user(connection, other_id)
        if witness is not None:
            self._silent[participants] = (witness, latest_ms)
        return witness is not None or not any(latest_ms.values())

    async def _recover(self, reader_id: int, other_id: int) -> None:
        participants = Participants.of(reader_id, other_id)
        mark = await self._marks.mark(participants)
        try:
            async with self._database.write() as connection:
                latest_ms = await fence_conversation(
                    connection, reader_id=reader_id, other_id=other_id, mark=mark
                )
        except Exception:
            await self._marks.clear(participants, mark)
            raise
        await self._marks.recover(participants, mark, latest_ms)
