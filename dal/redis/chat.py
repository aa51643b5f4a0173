"""What Redis knows of conversations, so that a poll that brings nothing need not ask MySQL.

One hash per pair of people:

    from:<user>   time in ms of the newest message of this sender that was settled or recovered
    known         the times above cover everything that was committed, except sends whose mark stands
    mark:<mark>   a send, or a recovery, that is under way; value: when it began, in microseconds
    mark          the last mark that was drawn

A sender marks before it writes to MySQL and settles after the commit. So where no mark stands and `known` is there, no message is newer
than the times. A mark whose sender died, and a conversation in which somebody sent while nothing was known of it, are recovered by the next
reader. It draws a mark of its own, makes MySQL refuse every send with an older mark (`fence_conversation`), reads the newest times there, and
stores them here.

A conversation without a hash is one in which nobody has sent for an hour, or never. Looking at it writes nothing here, or anybody could fill
this Redis by looking at chats with everybody. Its reader asks MySQL once and remembers the answer in its own memory, together with a
*witness*: the name of this Redis' data, and when anybody last sent in the partition of the conversation. As long as there is no hash and the
witness is the same, nobody has sent since. Where the last send in the partition is so recent that it may still be under way, there is no
witness; then MySQL is asked, and a conversation that has messages is recovered. So all of the hash, or all of this Redis, may be lost at any
moment.
"""

import math
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from redis.asyncio import Redis

from dal.participants import Participants
from dal.redis.client import translated_errors
from dal.redis.keys import actions_life_key, chat_key, chat_sent_key
from dal.redis.scripting import run_script
from pkg.batching import Batcher

# How long a reader may rely on what MySQL said while there was no hash.
WITNESS_LIFETIME_S = 3600
# A conversation in which nobody sends for this long is forgotten. Short, because this Redis may not evict: what lies here is bounded by
# what is sent in this time.
TTL_MS = 3600 * 1000
# Longer than a reader remembers what it learned under a witness.
SENT_TTL_MS = 2 * 1000 * WITNESS_LIFETIME_S
# Longer than any SQL deadline: a send that began before this has ended, in one way or another.
UNDER_WAY_S = 5.0
MARKED, UNKNOWN, ABSENT_UNSETTLED, ABSENT = -1, -2, -3, -4

# A conversation, and whose messages in it.
_Question = tuple[Participants, tuple[int, ...]]

# The name of Redis' data, and the time of the last send in a partition.
Witness = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Look:
    """What a reader may rely on: nothing is newer than `latest_ms`, or, where that is None, MySQL must be asked."""

    latest_ms: int | None
    needs_recovery: bool = False
    # Nothing is known: MySQL's answer may be remembered for as long as a look brings the same witness, if there is one.
    is_absent: bool = field(default=False, compare=False)
    witness: Witness | None = field(default=None, compare=False)


class ChatMarks:
    """The marks and newest times of conversations. Every method raises DependencyUnavailable while Redis is down."""

    def __init__(self, redis: Redis, *, stale_mark_s: float) -> None:
        self._redis = redis
        self._stale_us = int(stale_mark_s * 1_000_000)
        self._life = b""
        self._lost_at_s = -math.inf
        self._looks: Batcher[_Question, Look] = Batcher(self._look_for_all)

    async def look(self, participants: Participants, senders: Sequence[int]) -> Look:
        """Return what is known of the newest messages of some senders."""
        question = (participants, tuple(senders))
        return (await self._looks.get([question]))[question]

    async def mark(self, participants: Participants, *, above: int = 0) -> int:
        """Mark a conversation before writing to it, and return the mark: greater than `above` and than all before.

        While the mark stands, every reader asks MySQL.
        """
        arguments = [above, TTL_MS, SENT_TTL_MS]
        [mark] = await run_script(self._redis, "chat_mark", [(_keys(participants), arguments)])
        return mark

    async def settle(
        self, participants: Participants, mark: int, *, sender_id: int, created_at_ms: int
    ) -> None:
        """Make a committed message known and clear its mark, in one step."""
        arguments = [mark, sender_id, created_at_ms, TTL_MS, SENT_TTL_MS]
        await run_script(self._redis, "chat_settle", [(_keys(participants), arguments)])

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

    async def name_life(self) -> bytes:
        """Return the name of the data that this Redis holds; give one to data that has none."""
        key = actions_life_key()
        with translated_errors():
            life = cast("bytes | None", await self._redis.get(key))
            if life is None:
                await self._redis.set(key, secrets.token_hex(8), nx=True)
                life = cast("bytes | None", await self._redis.get(key))
        return life or b""

    async def _find_witness(self) -> bytes:
        """Return the name of Redis' data, b"" where sends that it has forgotten may still be under way."""
        life, now_s = await self.name_life(), time.monotonic()
        if self._life and life != self._life:
            self._lost_at_s = now_s
        self._life = life
        return life if now_s - self._lost_at_s > UNDER_WAY_S else b""

    async def _look_for_all(self, questions: set[_Question]) -> dict[_Question, Look]:
        asked = list(questions)
        calls: list[tuple[Sequence[str], Sequence[str | int]]] = [
            (_keys(participants), [self._stale_us, int(UNDER_WAY_S * 1_000_000), *senders])
            for participants, senders in asked
        ]
        results = await run_script(self._redis, "chat_look", calls)
        # After the look: what was lost before it must not keep its name.
        life = await self._find_witness() if min(results) <= ABSENT else b""
        return {
            question: _to_look(result, life)
            for question, result in zip(asked, results, strict=True)
        }


def _keys(participants: Participants) -> list[str]:
    return [chat_key(participants), chat_sent_key(participants)]


def _to_look(result: int, life: bytes) -> Look:
    if result >= 0:
        return Look(result)
    if result == MARKED:
        return Look(None)
    witness = (life, ABSENT - result) if life and result <= ABSENT else None
    return Look(None, needs_recovery=True, is_absent=result != UNKNOWN, witness=witness)
