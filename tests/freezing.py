"""Processes that still hold their connections and answer nothing."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STOPS_WITHIN_S = 10


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop every thread of a process while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + STOPS_WITHIN_S
        # The signal is on its way when kill returns; a busy thread may still answer.
        while not all(state == "T" for state in _list_states(pid)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {pid} does not stop")
            time.sleep(0.005)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _list_states(pid: int) -> Iterator[str]:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        yield (thread / "stat").read_text().rpartition(")")[2].split()[0]
