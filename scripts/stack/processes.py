"""What /proc tells about processes: who lives, who listens, who belongs to a stack."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# Every supervised process, and whatever it starts, carries this variable in its environment: it
# is how leftovers are recognised after their supervisor was killed.
MARKER = "STACK_RUN_DIR"

_PROC = Path("/proc")
_LISTEN = "0A"


def list_pids() -> Iterator[int]:
    """Yield the ids of all processes."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def is_alive(pid: int) -> bool:
    """Say whether the process runs; a zombie does not."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def read_command(pid: int) -> list[str]:
    """Return the process's command line, empty where it is gone or a kernel thread."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


def describe_process(pid: int) -> str:
    """Return pid and command for a message to a person."""
    command = " ".join(read_command(pid)) or "unknown command"
    return f"pid {pid} ({command[:160]})"


def find_listener(port: int) -> int | None:
    """Return a process that listens on the TCP port, or None where none can be seen."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return None
    return next((pid for pid in list_pids() if _holds_any(pid, inodes)), None)


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (_PROC / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _holds_any(pid: int, targets: set[str]) -> bool:
    try:
        return any(str(fd.readlink()) in targets for fd in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False


def list_marked(run_dir: Path) -> list[int]:
    """Return the living processes that were started by the stack of this folder."""
    wanted = f"{MARKER}={run_dir}".encode()
    return [pid for pid in list_pids() if _is_marked(pid, wanted) and is_alive(pid)]


def _is_marked(pid: int, wanted: bytes) -> bool:
    try:
        return wanted in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def stop_processes(pids: Iterable[int], *, timeout_s: float) -> list[int]:
    """Ask the processes to end, kill those that do not; return the ones that still live."""
    targets = list(pids)
    _signal_all(targets, signal.SIGTERM)
    if not wait_until(lambda: not any(map(is_alive, targets)), timeout_s=timeout_s):
        _signal_all(targets, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, targets)), timeout_s=5)
    return [pid for pid in targets if is_alive(pid)]


def _signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_until(
    condition: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.05
) -> bool:
    """Wait for the condition; say whether it came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval_s)
    return True
