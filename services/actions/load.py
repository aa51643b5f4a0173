"""Whether likes and follows come singly or in crowds.

One that comes alone is flushed at once. In a crowd this would cost more than it gives: few large batches are cheaper than many small ones,
and the flush's timer is soon enough.
"""

import time
from collections import deque

# More than this in the last second is a crowd.
QUIET_ACTIONS_PER_S = 50


class RecentActions:
    """Counts the actions of the last second."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()
        self._total = 0

    def add(self, count: int) -> None:
        """Count actions that came now."""
        if count:
            self._counts.append((time.monotonic(), count))
            self._total += count
        self._forget_old()

    @property
    def are_few(self) -> bool:
        """Whether few came in the last second."""
        self._forget_old()
        return self._total <= QUIET_ACTIONS_PER_S

    def _forget_old(self) -> None:
        oldest_s = time.monotonic() - 1.0
        while self._counts and self._counts[0][0] < oldest_s:
            self._total -= self._counts.popleft()[1]
