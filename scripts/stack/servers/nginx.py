"""nginx: the one door that is open to the network."""

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import httpx

from pkg.settings import read_section
from pkg.uploads import UploadSettings
from scripts.stack.files import hash_files, make_private_dir, render, write_private
from scripts.stack.ports import ALL_ADDRESSES
from scripts.stack.programs import Listener, Program, Tier
from scripts.stack.site import Site

# A multipart body is a little longer than the file that it carries.
_UPLOAD_OVERHEAD_MB = 1


@dataclass(frozen=True)
class Nginx:
    """The API and `/media/` under one port."""

    site: Site

    @property
    def _directory(self) -> Path:
        return self.site.run_dir / "nginx"

    @property
    def _templates(self) -> list[Path]:
        return sorted((self.site.config_dir / "nginx").glob("*.template"))

    def prepare(self) -> None:
        """Render every template of config/nginx."""
        make_private_dir(self._directory / "temp")
        for template in self._templates:
            write_private(self._target(template), render(template, self._values()))

    def _target(self, template: Path) -> Path:
        return self._directory / template.name.removesuffix(".template")

    def _values(self) -> dict[str, object]:
        ports = self.site.ports
        port = ports.of("nginx")
        return {
            "NGINX_DIR": self._directory,
            "NGINX_LISTEN": f"listen {port};" + (f" listen [::]:{port};" if _has_ipv6() else ""),
            "NGINX_MAX_BODY_MB": _read_max_upload_mb(self.site) + _UPLOAD_OVERHEAD_MB,
            "NGINX_GATEWAY": f"127.0.0.1:{ports.of('gateway')}",
            "NGINX_STORAGE": f"127.0.0.1:{ports.of('s3')}",
        }

    def program(self) -> Program:
        """Return how nginx runs: as one process, so that a killed one leaves no workers behind."""
        configuration = self._directory / "nginx.conf"
        return Program(
            name="nginx",
            kind="server",
            tier=Tier.EDGE,
            command=(
                shutil.which("nginx") or "/usr/sbin/nginx",
                *("-p", f"{self._directory}/"),
                *("-c", str(configuration)),
                *("-e", "stderr"),
            ),
            listeners=(Listener("the API and media", self.site.ports.of("nginx"), ALL_ADDRESSES),),
            fingerprint=hash_files(*map(self._target, self._templates)),
            stop_signal="QUIT",
            stop_within_s=5,
        )

    def probe(self) -> None:
        """Ask for the system's readiness through the open port."""
        url = f"http://127.0.0.1:{self.site.ports.of('nginx')}/readyz"
        answer = httpx.get(url, timeout=10, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            raise ConnectionError(f"/readyz answers {answer.status_code}: {answer.text[:500]}")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _read_max_upload_mb(site: Site) -> int:
    """Return the limit of uploads, so that nginx lets pass what the gateway wants to judge."""
    return UploadSettings(**read_section(site.config_dir, "upload")).max_upload_mb
