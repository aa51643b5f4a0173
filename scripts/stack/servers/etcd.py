"""etcd, where the services register."""

import platform
from collections.abc import Mapping

import httpx

from scripts.stack.component import Component, Listener
from scripts.stack.files import get_command


class Etcd(Component):
    """One etcd member; its whole configuration is its command line."""

    name = "etcd"
    listeners = (Listener("etcd", "etcd"), Listener("etcd-peer", "etcd's peers"))
    folders = ("",)
    stop_within_s = 10

    @property
    def command(self) -> list[str]:
        """One member that elects itself."""
        client = f"http://{self.address}"
        peer = f"http://{self.host}:{self.site.ports.of('etcd-peer')}"
        return [
            get_command("etcd"),
            "--name=dousheng",
            f"--data-dir={self.directory / 'data'}",
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
        ]

    @property
    def environment(self) -> Mapping[str, str]:
        """etcd 3.4 runs on arm64 only when told that this is meant."""
        return {"ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() == "aarch64" else {}

    def probe(self) -> None:
        """Ask for health: a leader is elected and the member answers."""
        answer = httpx.get(f"http://{self.address}/health", timeout=2, trust_env=False)
        if answer.json().get("health") != "true":
            raise ConnectionError("etcd has no leader yet")
