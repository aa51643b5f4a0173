"""Telling a person what happens and how long it took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[str], None]


def say_nothing(line: str) -> None:
    """Report to nobody."""
    del line


@contextmanager
def step(report: Report, title: str) -> Iterator[None]:
    """Report the step when it is done, with its duration."""
    begun = time.monotonic()
    yield
    report(f"  {title:<34} {time.monotonic() - begun:6.1f} s")
