"""Processes that still hold their connections and answer nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.stack.processes import wait_until

STOPS_WITHIN_S = 10


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop every thread of a process while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        # The signal is on its way when kill returns; a busy thread may still answer.
        if not wait_until(lambda: _is_stopped(pid), timeout_s=STOPS_WITHIN_S, interval_s=0.005):
            raise TimeoutError(f"process {pid} does not stop")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    stats = [(thread / "stat").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
