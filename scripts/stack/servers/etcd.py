"""etcd, where the services register."""

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts.stack.files import make_private_dir
from scripts.stack.programs import Listener, Program, Tier
from scripts.stack.site import Site


@dataclass(frozen=True)
class Etcd:
    """One etcd member; its whole configuration is its command line."""

    site: Site

    @property
    def _directory(self) -> Path:
        return self.site.run_dir / "etcd"

    def prepare(self) -> None:
        """Make the data folder."""
        make_private_dir(self._directory)

    def program(self) -> Program:
        """Return how etcd runs."""
        ports = self.site.ports
        client = f"http://127.0.0.1:{ports.of('etcd')}"
        peer = f"http://127.0.0.1:{ports.of('etcd-peer')}"
        return Program(
            name="etcd",
            kind="server",
            tier=Tier.SERVERS,
            command=(
                shutil.which("etcd") or "/usr/bin/etcd",
                "--name=dousheng",
                f"--data-dir={self._directory / 'data'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=dousheng={peer}",
                # A single member waits for one election at every start.
                "--heartbeat-interval=50",
                "--election-timeout=300",
                "--auto-compaction-mode=periodic",
                "--auto-compaction-retention=1h",
                "--logger=zap",
                "--log-level=warn",
            ),
            environment=_architecture_switch(),
            listeners=(
                Listener("etcd", ports.of("etcd")),
                Listener("etcd's peers", ports.of("etcd-peer")),
            ),
            stop_within_s=10,
        )

    def probe(self) -> None:
        """Ask for health: a leader is elected and the member answers."""
        url = f"http://127.0.0.1:{self.site.ports.of('etcd')}/health"
        answer = httpx.get(url, timeout=2, trust_env=False)
        if answer.json().get("health") != "true":
            raise ConnectionError("etcd has no leader yet")


def _architecture_switch() -> dict[str, str]:
    """etcd 3.4 runs on arm64 only when told that this is meant."""
    return {"ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() == "aarch64" else {}
