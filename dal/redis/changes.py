"""What has changed, told by whoever changed it, in order: by this log memory in other processes is as fresh as the rows.

Whoever changes what a card shows announces it after the change and before anybody is told of it. Whoever keeps cards in memory looks into
the log before each use, and forgets what was announced since the last look. One look serves all who ask at the same moment.

The entry at which a reader stopped must still be there, as it was; where it is not (the log was cut, emptied, or is another server's), the
reader forgets everything. It also does so whenever it cannot look, so that an outage costs speed alone.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from dal.redis.client import translated_errors
from dal.redis.keys import changes_key
from pkg.breaker import CircuitBreaker
from pkg.single_flight import SingleFlight

# A reader that is farther behind than this forgets everything, which is soon filled again.
ENTRIES_KEPT = 4000
CHANGES_PER_ENTRY = 100
READ_AT_ONCE = 500
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


Change = tuple[Subject, int]


class ChangeLog:
    """Writes the log."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._breaker = CircuitBreaker("changes are not announced", timeout_s=TIMEOUT_S)

    async def announce(self, changes: Iterable[Change]) -> None:
        """Tell every reader, before their next use of what they keep.

        Raises:
            DependencyUnavailable: Redis is down, full, or too slow; readers show what was, for as long as they keep it.
        """
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                add_changes(pipeline, changes)
                if len(pipeline):
                    await pipeline.execute()

    async def try_to_announce(self, changes: Sequence[Change]) -> None:
        """As `announce`, for what is done whether or not anybody is told: an outage is logged, and waited for 0.5 s at most."""
        await self._breaker.ask(lambda: self.announce(changes), otherwise=None)


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
            if not entries or entries[0] != self._last:
                self._start_anew(await self._find_newest())
                return True
            for entry in entries[1:]:
                self._pass_on(entry)
            self._last = entries[-1]
            if len(entries) < READ_AT_ONCE:
                return True

    def _start_anew(self, last: Entry | None) -> None:
        self._last = last
        for forget_all in self._forget_all:
            forget_all()

    def _pass_on(self, entry: Entry) -> None:
        for name in entry[1][b"changed"].split():
            subject, _, number = name.partition(b":")
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
