"""supervisord: its configuration, its process, and what one asks of it."""

import http.client
import os
import resource
import shlex
import shutil
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from scripts.stack.errors import StackError
from scripts.stack.files import make_private_dir, read_tail, render, write_private
from scripts.stack.processes import MARKER, is_alive, list_pids, read_command, wait_until
from scripts.stack.programs import Program
from scripts.stack.site import Site

_MOST_FILES = 16384
# A crash is always followed by another start, after a pause that grows by a second each time.
_RETRIES = 1_000_000


class State(IntEnum):
    """supervisord's process states."""

    STOPPED = 0
    STARTING = 10
    RUNNING = 20
    BACKOFF = 30
    STOPPING = 40
    EXITED = 100
    FATAL = 200
    UNKNOWN = 1000


@dataclass(frozen=True)
class ProcessInfo:
    """What supervisord knows of one process."""

    name: str
    state: State
    pid: int | None
    problem: str


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__()
        self._path = path
        self._timeout_s = timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path, self._timeout_s)
        # Where the base class looks for what it has to close.
        self._connection = host, connection
        return connection


@dataclass(frozen=True)
class Supervisor:
    """The supervisor of one stack."""

    site: Site

    @property
    def _config(self) -> Path:
        return self.site.run_dir / "supervisord.conf"

    @property
    def _socket(self) -> Path:
        return self.site.socket_dir / "supervisor.sock"

    def find_pid(self) -> int | None:
        """Return the living supervisord of this stack, found by its command line."""
        wanted = ["-c", str(self._config)]
        for pid in list_pids():
            command = read_command(pid)
            if command[-2:] == wanted and "supervisor.supervisord" in command and is_alive(pid):
                return pid
        return None

    # Configuration

    def write_config(self, programs: Iterable[Program]) -> None:
        """Write supervisord's configuration; it holds the services' passwords and is private."""
        make_private_dir(self.site.log_dir)
        sections = "\n\n".join(self._program_section(program) for program in programs)
        values = {
            "SUPERVISOR_SOCKET": _escape(str(self._socket)),
            "SUPERVISOR_DIRECTORY": _escape(str(self.site.repository)),
            "SUPERVISOR_LOG": _escape(str(self.site.log_file("supervisord"))),
            "SUPERVISOR_LOG_DIR": _escape(str(self.site.log_dir)),
            "SUPERVISOR_PID": _escape(str(self.site.run_dir / "supervisord.pid")),
            "SUPERVISOR_FILES": min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _MOST_FILES),
            "SUPERVISOR_USER": "user=root" if os.getuid() == 0 else "",
            "SUPERVISOR_PROGRAMS": sections,
        }
        template = self.site.config_dir / "supervisor" / "supervisord.conf.template"
        write_private(self._config, render(template, values))

    def _program_section(self, program: Program) -> str:
        # Nothing outlives a supervisor that was killed.
        guard = (_setpriv(), "--pdeathsig", "KILL", "--")
        command = " ".join(map(shlex.quote, (*guard, *program.command)))
        options = {
            "command": _escape(command),
            "directory": _escape(str(self.site.repository)),
            "environment": _format_environment(self._environment_of(program)),
            "priority": int(program.tier),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": program.start_s,
            "startretries": _RETRIES,
            "stopsignal": program.stop_signal,
            "stopwaitsecs": program.stop_within_s,
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": _escape(str(self.site.log_file(program.name))),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": 3,
        }
        lines = [f"{key}={value}" for key, value in options.items()]
        return "\n".join([f"[program:{program.name}]", *lines])

    def _environment_of(self, program: Program) -> dict[str, str]:
        own = {MARKER: str(self.site.run_dir), "STACK_CONFIG": program.fingerprint}
        return {**program.environment, **own}

    # Life

    def launch(self, *, die_with_parent: bool) -> subprocess.Popen[bytes]:
        """Start supervisord in a session of its own and wait until it answers.

        With `die_with_parent` it ends when the calling thread does, and all its children with it.
        """
        guard = [_setpriv(), "--pdeathsig", "KILL", "--"] if die_with_parent else []
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)]
        self._socket.unlink(missing_ok=True)
        output = self.site.log_dir / "supervisord.out"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.site.repository,
                env=_plain_environment(),
                start_new_session=True,
            )
        answered = wait_until(lambda: process.poll() is not None or self.answers(), timeout_s=15)
        if not answered or process.poll() is not None:
            process.kill()
            process.wait()
            raise StackError("supervisord does not start", log_tail=read_tail(output, 20))
        return process

    def answers(self) -> bool:
        """Say whether supervisord answers on its socket."""
        try:
            self.call("getState")
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False
        return True

    def call(self, method: str, *arguments: object, timeout_s: float = 30) -> Any:
        """Call a method of supervisord's XML-RPC interface."""
        transport = _UnixTransport(self._socket, timeout_s)
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def reload(self) -> None:
        """Bring the written configuration into force; what changed is stopped, not yet started."""
        (added, changed, removed), *_ = self.call("reloadConfig")
        self.stop([*changed, *removed])
        for name in [*changed, *removed]:
            self.call("removeProcessGroup", name)
        for name in [*changed, *added]:
            self.call("addProcessGroup", name)

    # Processes

    def list_processes(self) -> dict[str, ProcessInfo]:
        """Return what supervisord knows of every process, by name."""
        found = self.call("getAllProcessInfo")
        return {
            item["name"]: ProcessInfo(
                name=item["name"],
                state=State(item["state"]),
                pid=item["pid"] or None,
                problem=item["spawnerr"] or item["description"],
            )
            for item in found
        }

    def start(self, name: str) -> None:
        """Start one process unless it runs; does not wait for it. One in its back-off starts now."""
        state = self.list_processes()[name].state
        if state is State.BACKOFF:
            self.stop([name])
        elif state is State.STOPPING:
            self._wait_stopped([name], timeout_s=60)
        if state not in {State.RUNNING, State.STARTING}:
            self.call("startProcess", name, False)

    def stop(self, names: Sequence[str]) -> None:
        """Stop the processes side by side and wait until they are gone."""
        known = self.list_processes()
        targets = [name for name in names if name in known]
        for name in targets:
            if known[name].state in {State.RUNNING, State.STARTING, State.BACKOFF}:
                self.call("stopProcess", name, False)
        self._wait_stopped(targets, timeout_s=60)

    def _wait_stopped(self, names: Sequence[str], *, timeout_s: float) -> None:
        def all_stopped() -> bool:
            known = self.list_processes()
            return all(known[name].pid is None for name in names)

        if not wait_until(all_stopped, timeout_s=timeout_s):
            raise StackError(f"{', '.join(names)} did not stop within {timeout_s:.0f} s")


def _setpriv() -> str:
    path = shutil.which("setpriv")
    if path is None:
        raise StackError("setpriv is missing", mend="install the package util-linux")
    return path


def _escape(value: str) -> str:
    """Return the value as supervisord's configuration wants it: % begins an expansion."""
    return value.replace("%", "%%")


def _format_environment(values: dict[str, str]) -> str:
    pairs = (f'{key}="{_escape(value)}"' for key, value in sorted(values.items()))
    return ",".join(pairs)


def _plain_environment() -> dict[str, str]:
    """Return what processes inherit: nothing of the caller's settings, which would be read."""
    kept = {name: os.environ[name] for name in ("HOME", "USER", "TZ") if name in os.environ}
    path = os.environ.get("PATH", "")
    return {
        "PATH": f"{path}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        **kept,
    }
