"""Background loops that outlive whatever one of their turns raises."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from loguru import logger

from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable
from pkg.metrics import LOOP_FAILURES
from pkg.stopping import wait_for_stop

REPEAT_LOG_S = 60.0

NO_FACTS: Mapping[str, object] = MappingProxyType({})

Turn = Callable[[], Awaitable[object]]


class Endurance:
    """Runs the turns of one loop. Failures of one kind in a row are logged once a minute, and all are counted.

    A server that is down is a warning, one that refuses us an error, since an operator must act; anything else is an error with
    its traceback.
    """

    def __init__(
        self,
        name: str,
        *,
        facts: Mapping[str, object] = NO_FACTS,
        failure: str = "turn of a loop failed",
    ) -> None:
        self._name = name
        self._failure = failure
        self._facts = facts
        self._told: type[Exception] | None = None
        self._told_at_s = 0.0

    async def survive(self, turn: Turn) -> bool:
        """Return whether the turn ended without an exception."""
        try:
            await turn()
        except Exception as exc:  # noqa: BLE001 - a loop must outlive one bad turn
            self.report(exc)
            return False
        self.recover()
        return True

    async def insist(self, turn: Turn, *, pause_s: float) -> None:
        """Try until the turn ends without an exception."""
        while True:
            if await self.survive(turn):
                return
            await asyncio.sleep(pause_s)

    def report(self, exc: Exception) -> None:
        """Count a failure, and log it unless one of its kind was logged a moment ago."""
        LOOP_FAILURES.labels(loop=self._name).inc()
        now_s = time.monotonic()
        if self._told is type(exc) and now_s - self._told_at_s < REPEAT_LOG_S:
            return
        self._told, self._told_at_s = type(exc), now_s
        log = logger.bind(loop=self._name, **self._facts)
        match exc:
            case DependencyRefused():
                log.bind(error=exc.detail).error("server refuses us: an operator must act")
            case DependencyUnavailable() | DeadlineExceeded():
                facts = {"error": exc.detail, "cause": repr(exc.__cause__)}
                log.bind(**facts).warning("loop waits for a server")
            case _:
                log.opt(exception=exc).error(self._failure)

    def recover(self) -> None:
        """Say that the loop works (again)."""
        if self._told is not None:
            logger.bind(loop=self._name, **self._facts).info("loop goes on")
        self._told = None


async def repeat_until_stopped(
    stop: asyncio.Event,
    turn: Turn,
    *,
    name: str,
    pause_s: float,
    facts: Mapping[str, object] = NO_FACTS,
) -> None:
    """Run `turn` again and again until `stop` is set, with a pause after one that failed."""
    endurance = Endurance(name, facts=facts)
    while not stop.is_set():
        if not await endurance.survive(turn):
            await wait_for_stop(stop, pause_s)
