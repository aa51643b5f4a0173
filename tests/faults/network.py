"""Two machines with a wire between them, made of network namespaces, and this machine beside both.

    services 198.18.N.2 ──── wire ──── 198.18.N.1 servers
           198.18.N.6 └─── this machine ───┘ 198.18.N.10

The wire delays and loses; this machine looks at both without it. Everything ends with the processes that hold it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.stack.site import REPOSITORY
from tests.faults.machine import UP, Order
from tests.faults.wire import INTERFACE, READY, Quality

# Addresses for measurements, which are nobody's (RFC 2544).
NETWORK = f"198.18.{os.getpid() % 250}"
SERVERS, SERVICES = f"{NETWORK}.1", f"{NETWORK}.2"
# What this machine and the two call each other beside the wire: (here, there).
BESIDE = {SERVICES: (f"{NETWORK}.5", f"{NETWORK}.6"), SERVERS: (f"{NETWORK}.9", f"{NETWORK}.10")}
DOWN_WITHIN_S = 60
# Nothing outlives the tests, also when they are killed.
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


class NoNamespacesError(Exception):
    """This machine lets nobody make network namespaces; the text says what is missing."""


@dataclass(frozen=True)
class Machine:
    """A process in a namespace of its own; see machine.py."""

    process: subprocess.Popen[str]
    address: str
    run_dir: Path

    @property
    def interface(self) -> str:
        """What this machine calls the way to it beside the wire."""
        return f"ds-{self.process.pid}"

    def configure(self, *command: str) -> None:
        """Run `ip` in the namespace."""
        run("nsenter", f"--net=/proc/{self.process.pid}/ns/net", "--", "ip", *command)

    def bring_up(
        self, processes: Sequence[str], overrides: Mapping[str, str], *, migrate: bool = False
    ) -> None:
        """Start a part of the stack there and wait until it works."""
        order = Order(list(processes), dict(overrides), migrate=migrate)
        say(self.process, asdict(order))
        hear(self.process, UP)


@dataclass(frozen=True)
class Wire:
    """The wire between the two; see wire.py."""

    process: subprocess.Popen[str]

    def become(self, quality: Quality) -> None:
        """Treat packets in another way from now on."""
        say(self.process, asdict(quality))


@dataclass(frozen=True)
class TwoMachines:
    """One for the servers, one for the product."""

    servers: Machine
    services: Machine
    wire: Wire


@contextmanager
def two_machines(folder: Path, port_base: int) -> Iterator[TwoMachines]:
    """Make the machines and everything between them; nothing of it is left when the block ends.

    Raises:
        NoNamespacesError: that cannot be done here.
    """
    check_namespaces()
    with ExitStack() as open_things:
        wire = open_things.enter_context(running("tests.faults.wire"))
        servers, services = (
            open_things.enter_context(machine(folder / name, port_base, address))
            for name, address in (("servers", SERVERS), ("services", SERVICES))
        )
        say(wire, [servers.process.pid, services.process.pid])
        hear(wire, READY)
        for one, other in ((servers, services), (services, servers)):
            one.configure("address", "add", one.address, "peer", other.address, "dev", INTERFACE)
            for interface in ("lo", INTERFACE):
                one.configure("link", "set", interface, "up")
            stand_beside(one)
        yield TwoMachines(servers, services, Wire(wire))


def check_namespaces() -> None:
    """Refuse a machine on which the test cannot be played."""
    try:
        run("unshare", "--net", "--", "ip", "link", "set", "lo", "up")
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except (OSError, RuntimeError) as exc:
        raise NoNamespacesError(
            f"two machines are made of network namespaces and TUN interfaces, which takes root, iproute2 and /dev/net/tun: {exc}"
        ) from exc


@contextmanager
def machine(run_dir: Path, port_base: int, address: str) -> Iterator[Machine]:
    """Start an empty machine in a namespace of its own."""
    arguments = (str(run_dir), str(port_base), address)
    with running("tests.faults.machine", *arguments, around=("unshare", "--net", "--")) as process:
        # Before it says so it may still be in our own namespace.
        hear(process, READY)
        yield Machine(process, address, run_dir)


@contextmanager
def running(
    module: str, *arguments: str, around: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run a module of the tests that ends with its input."""
    command = [*DIE_WITH_PARENT, *around, sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(timeout=DOWN_WITHIN_S)
            finally:
                process.kill()


def stand_beside(machine: Machine) -> None:
    """Let this machine reach the other one by the address that it has on the wire, without the wire."""
    here, there = BESIDE[machine.address]
    namespace = str(machine.process.pid)
    peer = ("type", "veth", "peer", "name", "beside", "netns", namespace)
    run("ip", "link", "add", "name", machine.interface, *peer)
    run("ip", "address", "add", here, "peer", there, "dev", machine.interface)
    run("ip", "link", "set", machine.interface, "up")
    machine.configure("address", "add", there, "peer", here, "dev", "beside")
    machine.configure("link", "set", "beside", "up")
    run("ip", "route", "add", machine.address, "via", there)


def run(*command: str) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def say(process: subprocess.Popen[str], order: object) -> None:
    """Send a line of JSON."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str], expected: str) -> None:
    """Wait for a line; what the process complains of stands on the error output."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if line != expected:
        raise RuntimeError(f"{process.args!r} says {line!r} instead of {expected!r}")
