"""The stack as one object: bring it up, look at it, take it down."""

import fcntl
import os
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from supervisor.states import ProcessStates

from scripts.private_files import make_private_dir, write_private
from scripts.stack.component import Component, Kind, Tier
from scripts.stack.environment import make_environment, without_settings
from scripts.stack.inventory import (
    PRODUCT,
    make_observers,
    make_product,
    make_servers,
    make_trace_store,
)
from scripts.stack.lifecycle import Lifecycle
from scripts.stack.ports import DEFAULT_BASE, Ports
from scripts.stack.processes import is_alive, list_marked, stop_processes, wait_until
from scripts.stack.readiness import wait_ready
from scripts.stack.remembered import Remembered
from scripts.stack.report import Report, StackError, say_nothing, step
from scripts.stack.rolling import RollingRestart
from scripts.stack.servers.mysql import MySQL
from scripts.stack.servers.zipkin import make_tracing_settings
from scripts.stack.site import LOCALHOST, REPOSITORY, Site
from scripts.stack.supervisor import Supervisor
from scripts.stack.syntax import to_shell

Only = Literal["servers"]

# What else supervisord knows is a failure.
_STATE_NAMES = {
    ProcessStates.STOPPED: "stopped",
    ProcessStates.STARTING: "starting",
    ProcessStates.RUNNING: "running",
    ProcessStates.BACKOFF: "restarting",
    ProcessStates.STOPPING: "stopping",
}


@dataclass(frozen=True)
class ProcessStatus:
    """One line of `scripts/status`."""

    name: str
    kind: Kind
    pid: int | None
    state: str
    address: str
    log: str


class Stack:
    """Private copies of all servers, and the product's processes on top of them.

    Everything lives in `run_dir`; the ports follow from `port_base`, and there are `workers`
    gateways and instances of each service (by default both as the folder was brought up with
    before, else 8080 and one). They listen on `address`, and are found there. `overrides` are DOUSHENG_ variables that win over the generated
    ones. With `observe` Prometheus watches them, with `traces` they send every trace to a store (both by default as before). With
    `die_with_parent` nothing outlives the thread that called `up`.
    """

    def __init__(  # noqa: PLR0913 - each has a default; most callers give two
        self,
        run_dir: Path = REPOSITORY / ".run",
        port_base: int | None = None,
        *,
        workers: int | None = None,
        address: str = LOCALHOST,
        tls: bool | None = None,
        die_with_parent: bool = False,
        overrides: Mapping[str, str] | None = None,
        mysql_replicas: int = 0,
        observe: bool | None = None,
        traces: bool | None = None,
        report: Report = say_nothing,
    ) -> None:
        folder = run_dir.resolve()
        self._remembered = Remembered(folder)
        self.site = Site(
            folder,
            Ports(port_base or self._remembered.base or DEFAULT_BASE),
            address=address,
            has_tls=self._remembered.has("tls") if tls is None else tls,
            mysql_replicas=max(mysql_replicas, self._remembered.replicas),
        )
        self.observes = self._remembered.has("observe") if observe is None else observe
        self.traces = self._remembered.has("traces") if traces is None else traces
        self.workers = workers or self._remembered.workers or 1
        self._die_with_parent = die_with_parent
        self._overrides = dict(overrides or {})
        self._report = report
        self._supervisor = Supervisor(self.site)
        self._lifecycle = Lifecycle(self._supervisor, report)
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def mysql_socket(self) -> Path:
        """The unix socket where the current user is MySQL's root, without a password."""
        return MySQL(self.site).socket

    def environment(self) -> dict[str, str]:
        """Return the DOUSHENG_ variables that every process of this stack gets."""
        tracing = make_tracing_settings(self.site) if self.traces else {}
        return make_environment(self.site, {**tracing, **self._overrides})

    @cached_property
    def _components(self) -> dict[str, Component]:
        """All processes by name, in the order in which they start."""
        return self._make_components(dict.fromkeys(PRODUCT, self.workers))

    def _make_components(self, instances: Mapping[str, int]) -> dict[str, Component]:
        product = make_product(self.site, self.environment(), instances)
        observers = make_observers(self.site, product) if self.observes else []
        traces = make_trace_store(self.site) if self.traces else []
        servers = [*make_servers(self.site), *traces]
        return {item.name: item for item in [*servers, *product, *observers]}

    def _in_tiers(self, *tiers: Tier) -> list[Component]:
        return [item for item in self._components.values() if item.tier in tiers]

    # Up

    def up(self, only: Only | Collection[str] = (), *, restart: bool = False) -> None:
        """Bring the stack up and wait until it works; what runs already is left alone.

        `only="servers"` stops before the migration; a collection of names starts nothing but
        those. `restart` starts the product's processes anew, for changed code.

        Raises:
            StackError: it cannot go on; what was started is left for a look at its logs.
        """
        with self._locked():
            self.site.check()
            self._place()
            if only and only != "servers":
                self._start_named(only)
                return
            self._lifecycle.start(self._in_tiers(Tier.NAMES))
            self._lifecycle.start(self._in_tiers(Tier.SERVERS))
            self.attach_replicas()
            if only:
                return
            with step(self._report, "database migrated"):
                self.migrate()
            if restart:
                self._lifecycle.stop(self._in_tiers(Tier.GATEWAY, Tier.SERVICES))
            self._lifecycle.start(self._in_tiers(Tier.SERVICES, Tier.GATEWAY))
            self._lifecycle.start(self._in_tiers(Tier.EDGE, Tier.OBSERVERS))

    def restart(self, names: Collection[str] = ()) -> None:
        """Start the product's processes anew one at a time, so that others serve meanwhile; nginx is reloaded.

        Args:
            names: of services and gateways, "user" for every instance or "user-2" for one, and "nginx"; none means all.

        Raises:
            StackError: the stack does not run, or a process does not come back; those after it were not touched.
        """
        with self._locked():
            if not self._is_running():
                raise StackError("the stack does not run", fix="run scripts/up")
            rolling = RollingRestart(
                self._supervisor,
                self._lifecycle,
                self._arrange,
                workers=self.workers,
                report=self._report,
            )
            rolling.run(names)

    def _arrange(self, instances: Mapping[str, int]) -> list[Component]:
        """Write the configuration of a stack with so many instances of each section; return its processes."""
        components = list(self._make_components(instances).values())
        self._prepare(components)
        return components

    def _place(self) -> None:
        """Bring configuration and supervisor to where processes can be started."""
        running = self._is_running()
        if running and self._remembered.base != self.site.ports.base:
            raise StackError(
                f"this stack runs on port base {self._remembered.base} already",
                fix="run scripts/down first, or leave DOUSHENG_PORT_BASE unset",
            )
        if not running:
            self._remove_leftovers()
            self._lifecycle.check_ports(self._components.values())
            self._remembered.write("port_base", self.site.ports.base)
        self._remembered.write("mysql_replicas", self.site.mysql_replicas)
        with step(self._report, "configuration and keys"):
            self._prepare(list(self._components.values()))
        self._remembered.write("workers", self.workers)
        self._remembered.switch("tls", is_on=self.site.has_tls)
        self._remembered.switch("observe", is_on=self.observes)
        self._remembered.switch("traces", is_on=self.traces)
        if running:
            self._supervisor.reload()
        else:
            self._daemon = self._supervisor.launch(die_with_parent=self._die_with_parent)

    def _is_running(self) -> bool:
        return self._supervisor.find_pid() is not None and self._supervisor.answers()

    def _prepare(self, components: Sequence[Component]) -> None:
        self.site.claim_socket_dir()
        self.site.ensure_keys()
        for component in components:
            component.prepare()
        write_private(self.site.run_dir / "env", os.fsencode(to_shell(self.environment())))
        self._supervisor.write_config(components)

    def _start_named(self, names: Collection[str]) -> None:
        wanted = [self._component(name) for name in names]
        for tier in sorted({item.tier for item in wanted}):
            self._lifecycle.start([item for item in self._in_tiers(tier) if item in wanted])

    def attach_replicas(self) -> None:
        """Let every replica of MySQL follow the source; one that is new is filled first."""
        if self.site.mysql_replicas:
            with step(self._report, "MySQL replicas follow"):
                self.run_module("scripts.operator.failover", "--rejoin", "all")

    def migrate(self) -> None:
        """Bring the database to the newest schema."""
        self.run_module("dal.db.migrate")

    def run_module(self, module: str, *arguments: str, timeout_s: float = 120) -> str:
        """Run a Python module of the product with this stack's settings; return its output."""
        done = subprocess.run(
            [self.site.python, "-m", module, *arguments],
            cwd=self.site.repository,
            env={**without_settings(os.environ), **self.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0:
            tail = done.stdout.splitlines()[-20:]
            raise StackError(f"python -m {module} failed ({done.returncode})", log_tail=tail)
        return done.stdout

    # Down

    def down(self) -> None:
        """Stop everything in reverse order and leave nothing of it running."""
        if not self.site.run_dir.exists():
            return
        with self._locked():
            supervisor = self._supervisor.find_pid()
            if supervisor is not None and self._supervisor.answers():
                self._stop_in_order()
                self._supervisor.call("shutdown")
                wait_until(lambda: not is_alive(supervisor), timeout_s=20)
            self._remove_leftovers()
            self.site.release_socket_dir()

    def _stop_in_order(self) -> None:
        for tier in sorted(Tier, reverse=True):
            with step(self._report, f"{tier.name.lower()} stopped"):
                self._lifecycle.stop(self._in_tiers(tier))

    def _remove_leftovers(self) -> None:
        """End what belongs to this folder but has no supervisor that answers."""
        supervisor = self._supervisor.find_pid()
        survivors = stop_processes([supervisor] if supervisor else [], timeout_s=60)
        survivors += stop_processes(list_marked(self.site.place), timeout_s=15)
        if survivors:
            raise StackError(f"these processes do not end: {survivors}", fix="end them by hand")
        if self._daemon is not None:
            self._daemon.wait(timeout=10)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one command at a time change the stack."""
        make_private_dir(self.site.run_dir)
        with (self.site.run_dir / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._report("  another command works on this stack; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # One process

    def status(self) -> list[ProcessStatus]:
        """Return every process of the stack, running or not."""
        known = self._supervisor.list_processes() if self._is_running() else {}

        def describe(item: Component) -> ProcessStatus:
            info = known.get(item.name)
            return ProcessStatus(
                name=item.name,
                kind=item.kind,
                pid=info.pid if info else None,
                state=_STATE_NAMES.get(info.state, "failed") if info else "stopped",
                address=item.address,
                log=str(self.site.log_file(item.name)),
            )

        return [describe(item) for item in self._components.values()]

    def pid(self, name: str) -> int:
        """Return the id of the real process.

        Raises:
            StackError: it does not run.
        """
        found = self._supervisor.list_processes()[self._component(name).name].pid
        if found is None:
            raise StackError(f"{name} does not run")
        return found

    def start(self, name: str) -> None:
        """Start one process and wait until it works."""
        self._supervisor.start(self._component(name).name)
        self.wait_ready(name)

    def stop(self, name: str) -> None:
        """Stop one process cleanly; it stays down until `start`."""
        self._supervisor.stop([self._component(name).name])

    def wait_ready(self, name: str, *, timeout_s: float = 60) -> None:
        """Wait until the process works, also through a death and a new start."""
        wait_ready(
            self._supervisor, [self._component(name)], forgive_deaths=True, timeout_s=timeout_s
        )

    def _component(self, name: str) -> Component:
        if name not in self._components:
            raise StackError(
                f"there is no process {name!r}", fix=f"one of: {', '.join(self._components)}"
            )
        return self._components[name]
