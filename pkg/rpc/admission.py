"""How many RPCs of a process run at once: a flood is refused at once, and does not fill the memory or everybody's deadline."""

from collections.abc import Iterator
from contextlib import contextmanager

from pkg.errors import BUSY, RateLimited


class Admission:
    """Counts the RPCs that run: calls, and streams (which last longer) apart from them, so that neither shuts the other out."""

    def __init__(self, *, max_calls: int, max_streams: int) -> None:
        self._free = {False: max_calls, True: max_streams}

    @contextmanager
    def enter(self, *, streaming: bool) -> Iterator[None]:
        """Hold a place for as long as the block runs.

        Raises:
            RateLimited: none is free.
        """
        if not self._free[streaming]:
            raise RateLimited(BUSY)
        self._free[streaming] -= 1
        try:
            yield
        finally:
            self._free[streaming] += 1
