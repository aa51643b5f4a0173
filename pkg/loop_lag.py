"""How late the event loop runs what was planned: what keeps it busy keeps every caller waiting."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pkg.metrics import LOOP_LAG

INTERVAL_S = 0.25


@contextmanager
def measured_loop_lag() -> Iterator[None]:
    """Plan a timer four times a second while the block runs, and count how late each was."""
    meter = _Meter(asyncio.get_running_loop())
    try:
        yield
    finally:
        meter.stop()


class _Meter:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._plan()

    def stop(self) -> None:
        self._timer.cancel()

    def _plan(self) -> None:
        self._due = self._loop.time() + INTERVAL_S
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        LOOP_LAG.observe(max(0.0, self._loop.time() - self._due))
        self._plan()
