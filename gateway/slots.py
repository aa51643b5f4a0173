"""Concurrency limits for uploads and WebSockets: few requests, but each holds resources for minutes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pkg.errors import RateLimited

RETRY_AFTER_S = 5


class Slots:
    """Limits how many run at once in total and per holder, so that one holder cannot take all slots."""

    def __init__(self, *, total: int, per_holder: int) -> None:
        self._total = total
        self._per_holder = per_holder
        self._held: Counter[str] = Counter()

    @contextmanager
    def take(self, holder: str) -> Iterator[None]:
        """Hold a slot for as long as the block runs.

        Raises:
            RateLimited: none is free for this holder.
        """
        if self._held.total() >= self._total or self._held[holder] >= self._per_holder:
            raise RateLimited(retry_after_s=RETRY_AFTER_S)
        self._held[holder] += 1
        try:
            yield
        finally:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
