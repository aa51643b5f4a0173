"""Turns at something scarce: a few at a time, urgent work first, and among those who wait each holder in turn.

Whoever floods it waits behind their own work; for everybody else the queue is short. What cannot be served soon is refused
at once, so that nobody waits for a deadline and nothing grows without end.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pkg.errors import BUSY, RateLimited

RETRY_AFTER_S = 2
# So many urgent turns in a row, then one of the others: a flood of urgent work must not shut them out.
URGENT_IN_A_ROW = 3

Turn = asyncio.Future[None]


class FairQueue:
    """Gives turns to holders.

    Args:
        places: how many have a turn at once.
        max_waiting: how many wait, at most; beyond that whoever waits most gives way.
        max_waiting_per_holder: how many of one holder wait in one kind, urgent or not.
        max_wait_s: who has waited so long is refused.
    """

    def __init__(
        self, *, places: int, max_waiting: int, max_waiting_per_holder: int, max_wait_s: float
    ) -> None:
        self._free = places
        self._max_waiting = max_waiting
        self._max_waiting_per_holder = max_waiting_per_holder
        self._max_wait_s = max_wait_s
        self._urgent, self._others = _Lines(), _Lines()
        self._urgent_in_a_row = 0

    @asynccontextmanager
    async def turn(self, holder: str, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for a turn and hold it for as long as the block runs.

        Raises:
            RateLimited: too many wait, of this holder or in all, or the wait was too long.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(holder, self._urgent if urgent else self._others)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, holder: str, lines: "_Lines") -> None:
        if lines.length(holder) >= self._max_waiting_per_holder:
            raise _refusal()
        if len(self._urgent) + len(self._others) >= self._max_waiting:
            self._make_room(holder, lines)
        turn: Turn = asyncio.get_running_loop().create_future()
        lines.add(holder, turn)
        try:
            async with asyncio.timeout(self._max_wait_s):
                await turn
        except BaseException as exc:
            if not lines.remove(holder, turn) and not turn.cancelled() and not turn.exception():
                # The turn came while its holder was leaving.
                self._pass_on()
            if isinstance(exc, TimeoutError):
                raise _refusal() from exc
            raise

    def _make_room(self, holder: str, lines: "_Lines") -> None:
        """Refuse the newest of those who wait most; whoever comes themselves, unless somebody waits for more."""
        if lines is self._urgent and len(self._others):
            crowd = self._others
        elif lines.longest() > lines.length(holder) + 1:
            crowd = lines
        else:
            raise _refusal()
        turn = crowd.take_newest_of_longest()
        if not turn.done():
            turn.set_exception(_refusal())

    def _pass_on(self) -> None:
        while lines := self._choose_lines():
            turn = lines.take_next()
            # One that is done was cancelled a moment ago.
            if not turn.done():
                self._urgent_in_a_row = self._urgent_in_a_row + 1 if lines is self._urgent else 0
                turn.set_result(None)
                return
        self._free += 1

    def _choose_lines(self) -> "_Lines":
        """Return the lines whose turn it is; they are empty where nobody waits."""
        if len(self._others) and self._urgent_in_a_row >= URGENT_IN_A_ROW:
            return self._others
        return self._urgent if len(self._urgent) else self._others


class _Lines:
    """Those who wait, in one line per holder; the holder whose turn is next comes first."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Turn]] = OrderedDict()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def length(self, holder: str) -> int:
        return len(self._lines.get(holder, ()))

    def longest(self) -> int:
        return max(map(len, self._lines.values()), default=0)

    def add(self, holder: str, turn: Turn) -> None:
        self._lines.setdefault(holder, deque()).append(turn)
        self._waiting += 1

    def take_next(self) -> Turn:
        holder, line = next(iter(self._lines.items()))
        turn = line.popleft()
        self._lines.move_to_end(holder)
        self._forget(holder)
        return turn

    def take_newest_of_longest(self) -> Turn:
        holder = max(self._lines, key=self.length)
        turn = self._lines[holder].pop()
        self._forget(holder)
        return turn

    def remove(self, holder: str, turn: Turn) -> bool:
        """Return whether `turn` still waited."""
        if turn not in self._lines.get(holder, ()):
            return False
        self._lines[holder].remove(turn)
        self._forget(holder)
        return True

    def _forget(self, holder: str) -> None:
        """Count one less; a holder for whom nobody waits any more has no line."""
        self._waiting -= 1
        if not self._lines[holder]:
            del self._lines[holder]


def _refusal() -> RateLimited:
    return RateLimited(BUSY, retry_after_s=RETRY_AFTER_S)
