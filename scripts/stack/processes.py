"""Which processes live, which one listens on a port, and which belong to a stack."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from scripts.waiting import wait_until

__all__ = [
    "MARKER",
    "describe_listener",
    "find_process",
    "is_alive",
    "list_marked",
    "stop_processes",
    "wait_until",
]

# Every supervised process, and whatever it starts, carries this variable in its environment: it
# is how leftovers are recognised after their supervisor was killed.
MARKER = "STACK_RUN_DIR"


def is_alive(pid: int) -> bool:
    """Say whether the process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def describe_listener(port: int) -> str | None:
    """Return who listens on the TCP port, for a message to a person; None where nobody can be seen."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,):
            # A process that is just ending, or is somebody else's, has no id here.
            with suppress(psutil.Error):
                if pid := connection.pid:
                    command = " ".join(psutil.Process(pid).cmdline()) or "unknown command"
                    return f"pid {pid} ({command[:160]})"
    return None


def find_process(*last_arguments: str) -> int | None:
    """Return a living process whose command line ends so, or None."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if tuple(process.cmdline()[-len(last_arguments) :]) == last_arguments:
                return process.pid
    return None


def list_marked(run_dir: Path) -> list[int]:
    """Return the living processes that were started by the stack of this folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            marked = process.environ().get(MARKER) == str(run_dir) or _is_nginx_of(process, run_dir)
            if marked and is_alive(process.pid):
                found.append(process.pid)
    return found


def _is_nginx_of(process: psutil.Process, run_dir: Path) -> bool:
    # nginx writes its title over its environment; it works in its own folder.
    return process.name() == "nginx" and Path(process.cwd()) == run_dir.resolve() / "nginx"


def stop_processes(pids: Iterable[int], *, timeout_s: float) -> list[int]:
    """Ask the processes to end, kill those that do not; return the ones that still live."""
    targets = [psutil.Process(pid) for pid in pids if is_alive(pid)]

    def all_ended() -> bool:
        # psutil.wait_procs would wait for zombies too, which nobody may ever collect.
        return not any(is_alive(target.pid) for target in targets)

    for end, wait_s in ((psutil.Process.terminate, timeout_s), (psutil.Process.kill, 5)):
        for target in targets:
            with suppress(psutil.NoSuchProcess):
                end(target)
        if wait_until(all_ended, timeout_s=wait_s):
            break
    return [target.pid for target in targets if is_alive(target.pid)]
