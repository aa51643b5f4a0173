"""etcd, where the services register."""

import http.client
import json
import platform
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from scripts.stack.component import Component
from scripts.stack.files import get_command
from scripts.stack.site import Site


class Etcd(Component):
    """One etcd member; its whole configuration is its command line.

    It listens on sockets in a private folder alone: etcd 3.4 lets whoever reaches its port raise alarms and compact, logged in or not.
    """

    name = "etcd"
    listeners = ()
    folders = ("",)
    stop_within_s = 10

    @property
    def address(self) -> str:
        """Its socket."""
        return str(_socket(self.site))

    @property
    def working_directory(self) -> Path:
        """The folder of sockets: etcd takes names of sockets, not paths."""
        return self.site.socket_dir

    @property
    def leftovers(self) -> Sequence[str]:
        """Its sockets, for clients and for peers."""
        return _socket(self.site).name, f"etcd-peer:{self.site.ports.of('etcd-peer')}"

    @property
    def command(self) -> list[str]:
        """One member that elects itself."""
        client, peer = (f"unix://{name}" for name in self.leftovers)
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
        # httpx would leave a socket open where nobody listens.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(self.address)
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n")
            with http.client.HTTPResponse(connection) as answer:
                answer.begin()
                healthy = json.load(answer).get("health") == "true"
        if not healthy:
            raise ConnectionError("etcd has no leader yet")


def address_of(site: Site) -> str:
    """Return the address for the settings: the socket as gRPC names it, which ends with a port as etcd wants it."""
    return f"unix:{quote(str(_socket(site)), safe='/:')}"


def _socket(site: Site) -> Path:
    """Return the socket; etcd gives it a name of the form host:port."""
    return site.socket_dir / f"etcd:{site.ports.of('etcd')}"
