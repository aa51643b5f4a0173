"""What a machine looks like from outside, before and after: packet filter, links, mounts, control groups, processes."""

import socket
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from scripts.compose_test.engine import CGROUP
from scripts.stack.files import get_command
from scripts.stack.processes import wait_until

_CALL_S = 30
_SETTLE_S = 10
# How the engine and its uplink name theirs; others come and go for reasons of their own.
_LINKS = ("docker", "br-", "veth", "tap")
_NAMES = ("dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy", "slirp4netns")


@dataclass(frozen=True)
class Machine:
    """What the engine of a trial could have changed."""

    packet_filter: frozenset[str]
    forwarding: frozenset[str]
    links: frozenset[str]
    mounts: frozenset[str]
    network_namespaces: frozenset[str]
    control_groups: frozenset[str]
    engine_processes: frozenset[str]

    def differences(self, later: "Machine") -> list[str]:
        """Return what appeared and what is gone, one line each."""
        found = []
        for field in fields(self):
            before, after = getattr(self, field.name), getattr(later, field.name)
            title = field.name.replace("_", " ")
            found += [f"{title}: {entry} appeared" for entry in sorted(after - before)]
            found += [f"{title}: {entry} is gone" for entry in sorted(before - after)]
        return found


def look() -> Machine:
    """Look at the machine as it is."""
    return Machine(
        packet_filter=_packet_filter(),
        forwarding=frozenset([Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()]),
        links=frozenset(name for _, name in socket.if_nameindex() if name.startswith(_LINKS)),
        mounts=frozenset(
            " ".join(line.split()[:3])
            for line in Path("/proc/self/mounts").read_text().splitlines()
        ),
        network_namespaces=_names_in(Path("/run/netns")),
        control_groups=frozenset(str(path) for path in _control_groups()),
        engine_processes=frozenset(
            f"{process.info['name']} ({process.pid})"
            for process in psutil.process_iter(["name"])
            if process.info["name"] in _NAMES
        ),
    )


def find_differences(before: Machine) -> list[str]:
    """Return how the machine differs from before; what is on its way out gets a moment."""
    for path in sorted(_control_groups(), key=lambda path: -len(path.parts)):
        path.rmdir()
    found: list[str] = []

    def same() -> bool:
        found[:] = before.differences(look())
        return not found

    wait_until(same, timeout_s=_SETTLE_S, interval_s=0.5)
    return found


def _packet_filter() -> frozenset[str]:
    saved = subprocess.run(
        [get_command("iptables-save")], capture_output=True, text=True, timeout=_CALL_S, check=True
    )
    return frozenset(line for line in saved.stdout.splitlines() if not line.startswith("#"))


def _names_in(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _control_groups() -> list[Path]:
    """Return the groups that the engine made; the kernel keeps them until they are removed, and only when they are empty."""
    mounted = Path("/sys/fs/cgroup")
    roots = [path for base in (mounted, *mounted.iterdir()) if (path := base / CGROUP[1:]).is_dir()]
    return [path for root in roots for path in (root, *root.rglob("*")) if path.is_dir()]
