"""supervisord: its configuration, its process, and what one asks of it."""

import http.client
import os
import resource
import shlex
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.states import RUNNING_STATES, ProcessStates
from supervisor.xmlrpc import SupervisorTransport

from scripts.private_files import make_private_dir, write_private
from scripts.stack.component import Component
from scripts.stack.files import get_command, read_tail, render
from scripts.stack.processes import MARKER, find_process, wait_until
from scripts.stack.report import StackError
from scripts.stack.site import Site

_MOST_FILES = 16384
# A crash is always followed by another start, after a pause that grows by a second each time.
_RETRIES = 1_000_000
_ANSWERS_WITHIN_S = 30
_STOPS_WITHIN_S = 60


@dataclass(frozen=True)
class ProcessInfo:
    """What supervisord knows of one process; `state` is a number of `ProcessStates`."""

    state: int
    pid: int | None
    problem: str


@dataclass(frozen=True)
class Changes:
    """How a configuration that was read differs from what supervisord knows: names of processes."""

    added: list[str]
    changed: list[str]
    removed: list[str]


@dataclass(frozen=True)
class Supervisor:
    """The supervisor of one stack."""

    site: Site

    @property
    def _config(self) -> Path:
        return self.site.place / "supervisord.conf"

    @property
    def _socket(self) -> Path:
        return self.site.socket_dir / "supervisor.sock"

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)]

    def find_pid(self) -> int | None:
        """Return the living supervisord of this stack, found by its command line."""
        return find_process(*self._command[1:])

    # Configuration

    def write_config(self, components: Iterable[Component]) -> None:
        """Write supervisord's configuration; every path in it is a plain one."""
        make_private_dir(self.site.log_dir)
        sections = "\n\n".join(self._program_section(component) for component in components)
        values = {
            "SUPERVISOR_SOCKET": self._socket,
            "SUPERVISOR_DIRECTORY": self.site.place,
            "SUPERVISOR_LOG": self.site.log_file("supervisord"),
            "SUPERVISOR_LOG_DIR": self.site.log_dir,
            "SUPERVISOR_PID": self.site.place / "supervisord.pid",
            "SUPERVISOR_FILES": min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _MOST_FILES),
            "SUPERVISOR_USER": "user=root" if os.getuid() == 0 else "",
            "SUPERVISOR_PROGRAMS": sections,
        }
        template = self.site.config_dir / "supervisor" / "supervisord.conf.template"
        write_private(self._config, render(template, values))

    def _program_section(self, component: Component) -> str:
        # Nothing outlives a supervisor that was killed.
        script = str(self.site.launch_script(component.name))
        environment = {MARKER: str(self.site.place), "STACK_CONFIG": component.fingerprint}
        options = {
            "command": shlex.join([*_end_with_parent(component.orphan_signal), "/bin/sh", script]),
            "directory": self.site.place,
            "environment": ",".join(f'{k}="{v}"' for k, v in environment.items()),
            "priority": int(component.tier),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": component.start_s,
            "startretries": _RETRIES,
            "stopsignal": component.stop_signal,
            "stopwaitsecs": component.stop_within_s,
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": self.site.log_file(component.name),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": 3,
        }
        lines = [f"{key}={value}" for key, value in options.items()]
        return "\n".join([f"[program:{component.name}]", *lines])

    # Life

    def launch(self, *, die_with_parent: bool) -> subprocess.Popen[bytes]:
        """Start supervisord in a session of its own and wait until it answers.

        With `die_with_parent` it ends when the calling thread does, and all its children with it.
        """
        self._socket.unlink(missing_ok=True)
        output = self.site.log_dir / "supervisord.out"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [*(_end_with_parent("KILL") if die_with_parent else []), *self._command],
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

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method of supervisord's XML-RPC interface."""
        transport = _make_transport(self._socket)
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def reload(self) -> None:
        """Bring the written configuration into force; what changed is stopped, not yet started."""
        changes = self.read_changes()
        self.remove([*changes.changed, *changes.removed])
        self.add([*changes.changed, *changes.added])

    def read_changes(self) -> Changes:
        """Read the written configuration; it comes into force for what is removed and added again."""
        (added, changed, removed), *_ = self.call("reloadConfig")
        return Changes(added, changed, removed)

    def remove(self, names: Sequence[str]) -> None:
        """Stop processes and forget them."""
        self.stop(names)
        for name in names:
            self.call("removeProcessGroup", name)

    def add(self, names: Sequence[str]) -> None:
        """Learn of processes as the configuration that was read last has them; starts none."""
        for name in names:
            self.call("addProcessGroup", name)

    def signal(self, name: str, signal: str) -> None:
        """Send a signal, such as "HUP", to a process."""
        self.call("signalProcess", name, signal)

    # Processes

    def list_processes(self) -> dict[str, ProcessInfo]:
        """Return what supervisord knows of every process, by name."""
        return {
            item["name"]: ProcessInfo(
                state=item["state"],
                pid=item["pid"] or None,
                problem=item["spawnerr"] or item["description"],
            )
            for item in self.call("getAllProcessInfo")
        }

    def start(self, name: str) -> None:
        """Start one process unless it runs; does not wait for it. One in its back-off starts now."""
        state = self.list_processes()[name].state
        if state == ProcessStates.BACKOFF:
            self.stop([name])
        elif state == ProcessStates.STOPPING:
            self._wait_stopped([name])
        if state not in {ProcessStates.RUNNING, ProcessStates.STARTING}:
            self.call("startProcess", name, False)

    def stop(self, names: Sequence[str]) -> None:
        """Stop the processes side by side and wait until they are gone."""
        known = self.list_processes()
        targets = [name for name in names if name in known]
        for name in targets:
            if known[name].state in RUNNING_STATES:
                self.call("stopProcess", name, False)
        self._wait_stopped(targets)

    def _wait_stopped(self, names: Sequence[str]) -> None:
        def all_stopped() -> bool:
            known = self.list_processes()
            return all(known[name].pid is None for name in names)

        if not wait_until(all_stopped, timeout_s=_STOPS_WITHIN_S):
            raise StackError(f"{', '.join(names)} did not stop within {_STOPS_WITHIN_S} s")


def _make_transport(path: Path) -> Any:
    """Return supervisor's own transport, with a deadline: a supervisor may be frozen."""
    transport = SupervisorTransport(serverurl=f"unix://{path}")
    connect = transport._get_connection

    def connect_with_deadline() -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection = connect()
        # So that the transport closes it where the next line fails.
        transport.connection = connection
        connection.connect()
        connection.sock.settimeout(_ANSWERS_WITHIN_S)
        return connection

    transport._get_connection = connect_with_deadline
    return transport


def _end_with_parent(signal: str) -> list[str]:
    return [get_command("setpriv"), "--pdeathsig", signal, "--"]


def _plain_environment() -> dict[str, str]:
    """Return what processes inherit: nothing of the caller's settings, which would be read."""
    # Where tests measure coverage, COVERAGE_PROCESS_CONFIG makes the product's processes take part.
    names = ("HOME", "USER", "TZ", "COVERAGE_PROCESS_CONFIG")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    path = os.environ.get("PATH", "")
    return {
        "PATH": f"{path}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        **kept,
    }
