"""What a person is told: what was done and how long it took, and what stops the stack."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Report = Callable[[str], None]


class StackError(Exception):
    """The stack cannot go on: the problem, how to fix it, and the end of a log where one helps."""

    def __init__(self, problem: str, *, fix: str = "", log_tail: Sequence[str] = ()) -> None:
        parts = [problem]
        if log_tail:
            parts += ["the end of its log:", *(f"    {line}" for line in log_tail)]
        if fix:
            parts.append(f"to fix it: {fix}")
        super().__init__("\n".join(parts))


def say_nothing(line: str) -> None:
    """Report to nobody."""
    del line


@contextmanager
def step(report: Report, title: str) -> Iterator[None]:
    """Report the step when it is done, with its duration."""
    begun = time.monotonic()
    yield
    report(f"  {title:<34} {time.monotonic() - begun:6.1f} s")
