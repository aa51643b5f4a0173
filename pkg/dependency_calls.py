"""Timing what is asked of the servers that the product stands on, alike for all of them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from pkg.errors import DeadlineExceeded, DependencyUnavailable
from pkg.metrics import DEPENDENCY_CALLS, DEPENDENCY_RUNNING, DEPENDENCY_WAITING, observe


class Outcome(StrEnum):
    """What became of a call; what a server said against its contents is an answer."""

    ANSWERED = "answered"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class Dependency:
    """One server as the metrics know it; a process has one object for each.

    Args:
        failures: what its driver raises where the server is unavailable, beside `DependencyUnavailable` and `OSError`.
    """

    def __init__(self, name: str, *failures: type[BaseException]) -> None:
        self.name = name
        self.failures = (DependencyUnavailable, OSError, *failures)
        # Plain numbers that are read when Prometheus asks: a gauge takes a lock for each step.
        self.running = 0
        self._waiting = 0
        DEPENDENCY_RUNNING.labels(name).set_function(lambda: self.running)
        DEPENDENCY_WAITING.labels(name).set_function(lambda: self._waiting)

    def call(self, operation: str) -> "DependencyCall":
        """Return what times one call; operations are names of our own."""
        return DependencyCall(self, operation)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count one call as waiting for a connection while the block runs."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def judge(self, exc: BaseException) -> Outcome:
        """Return what an exception says about the server."""
        # A TimeoutError is an OSError; the driver's owner may have turned it into an error of ours.
        late = (TimeoutError, DeadlineExceeded)
        if isinstance(exc, late) or isinstance(exc.__cause__, late):
            return Outcome.TIMED_OUT
        if isinstance(exc, asyncio.CancelledError):
            return Outcome.CANCELLED
        return Outcome.FAILED if isinstance(exc, self.failures) else Outcome.ANSWERED


class DependencyCall:
    """One call: a context manager, which costs a fraction of what `contextmanager` makes."""

    __slots__ = ("_began", "_dependency", "_operation")

    def __init__(self, dependency: Dependency, operation: str) -> None:
        self._dependency = dependency
        self._operation = operation

    def __enter__(self) -> None:
        self._dependency.running += 1
        self._began = time.perf_counter()

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        seconds = time.perf_counter() - self._began
        self._dependency.running -= 1
        outcome = Outcome.ANSWERED if exc is None else self._dependency.judge(exc)
        observe(DEPENDENCY_CALLS, seconds, self._dependency.name, self._operation, outcome)
