"""Whether likes and follows come singly or in crowds.

One that comes alone is flushed at once, and its reply waits for that. In a crowd this would cost more than it gives: few large batches are
cheaper than many small ones, and the flush's timer is soon enough. A crowd is what only many people make: many at the same moment, or
not so many whose actions meet. Somebody who acts fast, or a script that acts for one after the other, is none.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager

# More than these under way in one process are a crowd. It is counted and not measured as a rate: waiting lowers the rate.
QUIET_ACTIONS = 3
# So are more people than these who acted in the last second, if any two of their actions were under way at once.
QUIET_PEOPLE = 10
# And more than this in the last second, of all processes together.
QUIET_ACTIONS_PER_S = 50
LASTS_S = 1.0


class ActionLoad:
    """What one process knows of how the actions of its kind come."""

    def __init__(self) -> None:
        self._under_way = 0
        self._crowded_until_s = 0.0
        self._met_until_s = 0.0
        self._last_acted_s: OrderedDict[int, float] = OrderedDict()
        self._flushes: deque[tuple[float, int]] = deque()
        self._flushed = 0

    @contextmanager
    def under_way(self, user_id: int) -> Iterator[None]:
        """Say that an action of this user is under way."""
        now_s = time.monotonic()
        self._last_acted_s[user_id] = now_s
        self._last_acted_s.move_to_end(user_id)
        self._under_way += 1
        if self._under_way > 1:
            self._met_until_s = now_s + LASTS_S
        if self._under_way > QUIET_ACTIONS:
            self._crowded_until_s = now_s + LASTS_S
        self._forget_old(now_s)
        try:
            yield
        finally:
            self._under_way -= 1

    def add_flushed(self, count: int) -> None:
        """Count actions that a flush found, whichever process accepted them."""
        now_s = time.monotonic()
        if count:
            self._flushes.append((now_s, count))
            self._flushed += count
        self._forget_old(now_s)

    @property
    def is_quiet(self) -> bool:
        """Whether there is no crowd."""
        now_s = time.monotonic()
        self._forget_old(now_s)
        many_meet = len(self._last_acted_s) > QUIET_PEOPLE and now_s < self._met_until_s
        return (
            now_s >= self._crowded_until_s
            and not many_meet
            and self._flushed <= QUIET_ACTIONS_PER_S
        )

    def _forget_old(self, now_s: float) -> None:
        oldest_s = now_s - LASTS_S
        while self._flushes and self._flushes[0][0] < oldest_s:
            self._flushed -= self._flushes.popleft()[1]
        while self._last_acted_s and next(iter(self._last_acted_s.values())) < oldest_s:
            self._last_acted_s.popitem(last=False)
