"""The running system as a tester handles it: where it listens, what it holds, and how to hurt it."""

import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil

from pkg.storage import object_path
from scripts.stack import Stack
from scripts.stack.processes import is_alive, wait_until
from scripts.stack.report import Report, say_nothing
from scripts.stack.services import open_channel
from services.buckets import BUCKETS
from tests.freezing import frozen
from tests.stacks import private_stack
from tests.stored_objects import StoredObjects
from tests.system.app import Spoken


@dataclass(frozen=True)
class System:
    """A stack that is up."""

    stack: Stack
    overrides: Mapping[str, str] = field(default_factory=dict)
    """The settings that differ from those of config/, by their variables."""
    spoken: Spoken = field(default_factory=Spoken)

    @property
    def base_url(self) -> str:
        """What a person types into the app."""
        return f"http://127.0.0.1:{self.port('nginx')}/"

    @property
    def gateway_url(self) -> str:
        """The gateway without nginx in front."""
        return f"http://127.0.0.1:{self.port('gateway')}/"

    def port(self, name: str) -> int:
        """Return a port of the stack by its name."""
        return self.stack.site.ports.of(name)

    def open_channel(self, name: str) -> grpc.Channel:
        """Return a channel to a service, past the gateway."""
        return open_channel(self.stack.site, name, f"127.0.0.1:{self.port(name)}")

    def read_log(self, name: str) -> str:
        """Return everything that a process has printed."""
        return self.stack.site.log_file(name).read_text(errors="replace")

    # What is left behind

    def list_spooled(self) -> list[str]:
        """Return every file of an upload on its way, those without a name included."""
        spool = self.stack.site.run_dir / "spool"
        named = [str(path) for path in spool.rglob("*") if path.is_file()]
        open_files = [
            target
            for name in ("gateway", "video")
            for target in _list_open_files(self.stack.pid(name))
            if target.startswith(str(spool))
        ]
        return named + open_files

    async def list_objects(self, stored: StoredObjects) -> set[str]:
        """Return every object of every bucket."""
        return {
            object_path(bucket, key) for bucket in BUCKETS for key in await stored.list_keys(bucket)
        }

    def list_ffmpeg(self) -> list[int]:
        """Return the tools that the video service runs at this moment."""
        found = []
        for child in psutil.Process(self.stack.pid("video")).children():
            with suppress(psutil.NoSuchProcess):
                if child.name() == "ffmpeg":
                    found.append(child.pid)
        return found

    # Faults

    def kill(self, name: str) -> int:
        """SIGKILL the real process and return its id; the supervisor starts it again."""
        pid = self.stack.pid(name)
        kill_process(pid)
        return pid

    @contextmanager
    def down(self, name: str) -> Iterator[None]:
        """SIGKILL a process and its children, and keep the supervisor from starting it again until the block ends.

        Not for longer than some seconds: the supervisor reads what all processes print, and they wait for it once their pipes are full.
        """
        pid = self.stack.pid(name)
        # nginx's worker would serve on without its master.
        children = psutil.Process(pid).children()
        supervisor = int((self.stack.site.run_dir / "supervisord.pid").read_text())
        with frozen(supervisor):
            for killed in (pid, *(child.pid for child in children)):
                kill_process(killed)
            yield

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """SIGSTOP a process while the block runs."""
        with frozen(self.stack.pid(name)):
            yield


@contextmanager
def running_system(
    folder: Path,
    *,
    overrides: Mapping[str, str],
    workers: int = 1,
    tls: bool = False,
    mysql_replicas: int = 0,
    traces: bool = False,
    report: Report = say_nothing,
) -> Iterator[System]:
    """Run every server and every process of the product in a folder of their own; nothing of it is left afterwards."""
    with private_stack(
        folder,
        workers=workers,
        tls=tls,
        overrides=overrides,
        mysql_replicas=mysql_replicas,
        traces=traces,
        report=report,
    ) as stack:
        stack.up()
        yield System(stack, overrides)


def kill_process(pid: int) -> None:
    """SIGKILL a process and wait until it is gone or a zombie."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(pid), timeout_s=5)


@contextmanager
def peak_memory(pid: int) -> Iterator["PeakMemory"]:
    """Measure by how much a process outgrows its present memory at most while the block runs."""
    proc = Path(f"/proc/{pid}")
    # 5: forget the peak so far.
    (proc / "clear_refs").write_text("5")
    measured = PeakMemory(_read_status(proc, "VmRSS"))
    yield measured
    measured.growth_mb = (_read_status(proc, "VmHWM") - measured.before_kb) / 1024


@dataclass
class PeakMemory:
    """Filled when the block of `peak_memory` ends."""

    before_kb: int
    growth_mb: float = 0.0


def _read_status(proc: Path, key: str) -> int:
    match = re.search(rf"^{key}:\s+(\d+) kB", (proc / "status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1])


def _list_open_files(pid: int) -> list[str]:
    found = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(handle.readlink()))
    return found
