"""Processes that still hold their connections and answer nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts.stack.processes import wait_until

STOPS_WITHIN_S = 10


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop every thread of a process while the block runs; that it is killed meanwhile is fine."""
    freeze(pid)
    try:
        yield
    finally:
        thaw(pid)


def freeze(pid: int) -> None:
    """Stop every thread of a process.

    The signal is only on its way when `kill` returns, and a busy machine takes its time: until then a server may still answer.
    """
    os.kill(pid, signal.SIGSTOP)
    if not wait_until(lambda: _is_stopped(pid), timeout_s=STOPS_WITHIN_S, interval_s=0.002):
        thaw(pid)
        raise TimeoutError(f"process {pid} does not stop")


def thaw(pid: int) -> None:
    """Let a process go on, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    try:
        stats = [(thread / "stat").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return False  # A thread has just ended.
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
