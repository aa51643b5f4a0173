"""What has changed, told by whoever changed it, in order: by this log memory in other processes is as fresh as the rows.

Whoever changes what a card shows announces it after the change and before anybody is told of it. Whoever keeps cards in memory looks into
the log before each use, and forgets what was announced since the last look. One look serves all who ask at the same moment.

The entry at which a reader stopped must still be there, as it was; where it is not (the log was cut, emptied, or is another server's), the
reader forgets everything. It also does so whenever it cannot look, and when another node of the Redis has become the master, which may
lack the last entries. So an outage costs speed alone.

What could not be announced is owed: it is announced with what comes next, or after a second. A process that begins announces that
anything may have changed, because the one before it may have been killed with something owed.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from dal.redis.client import connected_node, translated_errors
from dal.redis.keys import changes_key
from pkg.breaker import CircuitBreaker
from pkg.endurance import repeat_until_stopped
from pkg.nodes import Node
from pkg.single_flight import SingleFlight
from pkg.stopping import wait_for_stop

# A reader that is farther behind than this forgets everything, which is soon filled again.
ENTRIES_KEPT = 4000
CHANGES_PER_ENTRY = 100
READ_AT_ONCE = 500
# Who owes more announces that anything may have changed.
MOST_OWED = 10_000
OWED_INTERVAL_S = 1.0
# A reply is not worth waiting longer for it.
TIMEOUT_S = 0.5

Entry = tuple[bytes, dict[bytes, bytes]]


class Subject(StrEnum):
    """What an id is of."""

    USER = "user"  # a user's card
    VIEWER = "viewer"  # what a user likes and whom they follow
    VIDEO = "video"  # a video's card
    COMMENTS = "comments"  # the comments on a video
    TIMELINE = "timeline"  # which videos are published; the id is the new one
    EVERYTHING = "everything"  # anything; the id is 0


Change = tuple[Subject, int]
EVERYTHING: Change = (Subject.EVERYTHING, 0)


class ChangeLog:
    """Writes the log."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._breaker = CircuitBreaker("changes are not announced", timeout_s=TIMEOUT_S)
        self._owed: set[Change] = set()

    async def announce(self, changes: Iterable[Change]) -> None:
        """Tell every reader, before their next use of what they keep.

        Raises:
            DependencyUnavailable: Redis is down, full, or too slow; the changes are owed.
        """
        wanted, self._owed = self._owed.union(changes), set()
        try:
            with translated_errors():
                async with self._redis.pipeline(transaction=False) as pipeline:
                    add_changes(pipeline, wanted)
                    if len(pipeline):
                        await pipeline.execute()
        except BaseException:
            self._owe(wanted)
            raise

    async def try_to_announce(self, changes: Sequence[Change]) -> None:
        """As `announce`, for what is done whether or not anybody is told: an outage is logged, and waited for 0.5 s at most."""

        async def announce() -> bool:
            await self.announce(changes)
            return True

        if not await self._breaker.ask(announce, otherwise=False):
            self._owe(changes)

    async def keep_announcing(self, stop: asyncio.Event) -> None:
        """Announce that anything may have changed, then what is owed, until `stop`; a background task of whoever announces."""
        self._owe((EVERYTHING,))

        async def pay() -> None:
            if self._owed:
                await self.announce(())
            await wait_for_stop(stop, OWED_INTERVAL_S)

        await repeat_until_stopped(stop, pay, name="owed announcements", pause_s=OWED_INTERVAL_S)

    def _owe(self, changes: Iterable[Change]) -> None:
        self._owed.update(changes)
        if len(self._owed) > MOST_OWED:
            self._owed = {EVERYTHING}


def add_changes(pipeline: Pipeline, changes: Iterable[Change]) -> None:
    """Let a pipeline announce changes behind what it does so far."""
    names = sorted({f"{subject}:{number}" for subject, number in changes})
    for begin in range(0, len(names), CHANGES_PER_ENTRY):
        part = " ".join(names[begin : begin + CHANGES_PER_ENTRY])
        pipeline.xadd(changes_key(), {"changed": part}, maxlen=ENTRIES_KEPT)


class ChangeWatch:
    """Reads the log for the memory of this process.

    `forget` is called with the id of each change of a subject, `forget_all` when anything may have changed.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._breaker = CircuitBreaker("reading without memory", timeout_s=TIMEOUT_S)
        self._looks = SingleFlight(self._look)
        self._last: Entry | None = None
        self._master: Node | None = None
        self._forget: dict[bytes, list[Callable[[int], None]]] = {}
        self._forget_all: list[Callable[[], None]] = []

    def tell(
        self, subject: Subject, forget: Callable[[int], None], *, forget_all: Callable[[], None]
    ) -> None:
        """Tell somebody of the changes of a subject from now on."""
        self._forget.setdefault(subject.encode(), []).append(forget)
        self._forget_all.append(forget_all)

    async def look(self) -> None:
        """Return when everything that was announced before this call is forgotten."""
        await self._looks.get()

    async def _look(self) -> None:
        if not await self._breaker.ask(self._follow, otherwise=False):
            self._start_anew(None)

    async def _follow(self) -> bool:
        if self._last is None:
            self._start_anew(await self._find_newest())
            return True
        while True:
            entries = await self._read_from(self._last[0])
            has_moved = connected_node(self._redis) != self._master
            if has_moved or not entries or entries[0] != self._last:
                self._start_anew(await self._find_newest())
                return True
            for entry in entries[1:]:
                self._pass_on(entry)
            self._last = entries[-1]
            if len(entries) < READ_AT_ONCE:
                return True

    def _start_anew(self, last: Entry | None) -> None:
        self._last = last
        self._master = connected_node(self._redis)
        for forget_all in self._forget_all:
            forget_all()

    def _pass_on(self, entry: Entry) -> None:
        for name in entry[1][b"changed"].split():
            subject, _, number = name.partition(b":")
            if subject == Subject.EVERYTHING.encode():
                self._start_anew(entry)
            for forget in self._forget.get(subject, ()):
                forget(int(number))

    async def _read_from(self, entry_id: bytes) -> list[Entry]:
        with translated_errors():
            found: Any = await self._redis.xrange(changes_key(), entry_id, "+", READ_AT_ONCE)
        return list(found)

    async def _find_newest(self) -> Entry:
        """Return the newest entry; an empty log gets one, so that there is something to find again."""
        with translated_errors():
            while not (found := await self._redis.xrevrange(changes_key(), count=1)):
                await self._redis.xadd(changes_key(), {"changed": ""}, maxlen=ENTRIES_KEPT)
        newest: Any = found
        return newest[0]  # type: ignore[no-any-return]
