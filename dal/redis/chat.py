"""What Redis knows of conversations, so that a poll that brings nothing need not ask MySQL.

One hash per pair of people:

    from:<user>   time in ms of the newest message of this sender that was settled or recovered
    known         the times above cover everything that was committed, except sends whose mark stands
    mark:<mark>   a send, or a recovery, that is under way; value: when it began, in microseconds
    mark          the last mark that was drawn

A sender marks before it writes to MySQL and settles after the commit. So where no mark stands and `known` is there, no message is newer
than the times. A mark whose sender died, and a conversation of which nothing is known, are recovered by the next reader. It draws a mark of
its own, makes MySQL refuse every send with an older mark (`fence_conversation`), reads the newest times there, and stores them here. All of
the hash may be lost at any moment; the next reader recovers it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from dal.participants import Participants
from dal.redis.client import translated_errors
from dal.redis.keys import chat_key
from dal.redis.scripting import run_script
from pkg.batching import Batcher

# A conversation in which nothing happens for this long is forgotten, and recovered at the next poll.
TTL_MS = 7 * 24 * 3600 * 1000
MARKED, UNKNOWN = -1, -2

# A conversation, and whose messages in it.
_Question = tuple[Participants, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Look:
    """What a reader may rely on: nothing is newer than `latest_ms`, or, where that is None, MySQL must be asked."""

    latest_ms: int | None
    needs_recovery: bool = False


class ChatMarks:
    """The marks and newest times of conversations. Every method raises DependencyUnavailable while Redis is down."""

    def __init__(self, redis: Redis, *, stale_mark_s: float) -> None:
        self._redis = redis
        self._stale_us = int(stale_mark_s * 1_000_000)
        self._looks: Batcher[_Question, int] = Batcher(self._look_for_all)

    async def look(self, participants: Participants, senders: Sequence[int]) -> Look:
        """Return what is known of the newest messages of some senders."""
        question = (participants, tuple(senders))
        newest = (await self._looks.get([question]))[question]
        return Look(None, newest == UNKNOWN) if newest in (MARKED, UNKNOWN) else Look(newest)

    async def mark(self, participants: Participants, *, above: int = 0) -> int:
        """Mark a conversation before writing to it, and return the mark: greater than `above` and than all before.

        While the mark stands, every reader asks MySQL.
        """
        [mark] = await run_script(
            self._redis, "chat_mark", [([chat_key(participants)], [str(above), TTL_MS])]
        )
        return mark

    async def settle(
        self, participants: Participants, mark: int, *, sender_id: int, created_at_ms: int
    ) -> None:
        """Make a committed message known and clear its mark, in one step."""
        arguments = [mark, sender_id, created_at_ms, TTL_MS]
        await run_script(self._redis, "chat_settle", [([chat_key(participants)], arguments)])

    async def clear(self, participants: Participants, mark: int) -> None:
        """Clear a mark under which nothing was committed or ever will be."""
        with translated_errors():
            await self._redis.hdel(chat_key(participants), f"mark:{mark}")

    async def recover(
        self, participants: Participants, mark: int, latest_ms: Mapping[int, int]
    ) -> bool:
        """Make known the newest times that MySQL gave after it fenced off `mark`; clear that mark and all before it.

        Return False, and change nothing, where Redis has lost its data since the mark was drawn.
        """
        times = [part for item in latest_ms.items() for part in item]
        [known] = await run_script(
            self._redis, "chat_recover", [([chat_key(participants)], [mark, TTL_MS, *times])]
        )
        return bool(known)

    async def _look_for_all(self, questions: set[_Question]) -> dict[_Question, int]:
        asked = list(questions)
        calls = [
            ([chat_key(participants)], [self._stale_us, *senders])
            for participants, senders in asked
        ]
        results = await run_script(self._redis, "chat_look", calls)
        return dict(zip(asked, results, strict=True))
