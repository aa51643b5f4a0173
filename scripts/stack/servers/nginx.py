"""nginx: the one door that is open to the network."""

import math
import socket
from collections.abc import Mapping
from pathlib import Path

import httpx

from pkg.settings import read_section
from pkg.uploads import UploadSettings, transfer_time_s
from scripts.stack.component import Component, Listener, Tier
from scripts.stack.files import get_command
from scripts.stack.ports import ALL_ADDRESSES
from scripts.stack.site import Site

# A multipart body is a little longer than the file that it carries.
_UPLOAD_OVERHEAD_MB = 1
_UPLOAD_MARGIN_S = 5
# Names that the container engine resolves.
_CONTAINERS_ONLY = "resolved.conf.template"


class Nginx(Component):
    """The API and `/media/` under one port; one process, so that a killed one leaves no workers behind."""

    name = "nginx"
    tier = Tier.EDGE
    host = ALL_ADDRESSES
    listeners = (Listener("nginx", "the API and media"),)
    folders = ("temp",)
    stop_signal = "QUIT"
    stop_within_s = 5

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        found = sorted((site.config_dir / "nginx").glob("*.template"))
        self.templates = [
            str(path.relative_to(site.config_dir))
            for path in found
            if path.name != _CONTAINERS_ONLY
        ]

    @property
    def values(self) -> Mapping[str, object]:
        """Where it listens, what it lets pass, and what stands behind it."""
        ports = self.site.ports
        # nginx lets pass what the gateway wants to judge.
        upload = UploadSettings(**read_section(self.site.config_dir, "upload"))
        any_ipv6 = f" listen [::]:{self.port};" if _has_ipv6() else ""
        return {
            "NGINX_DIR": self.directory,
            "NGINX_LISTEN": f"listen {self.port};{any_ipv6}",
            "NGINX_MAX_BODY_MB": upload.max_upload_mb + _UPLOAD_OVERHEAD_MB,
            "NGINX_UPLOAD_TIMEOUT_S": find_upload_timeout_s(self.site.config_dir),
            "NGINX_BEHIND": "listed.conf",
            "NGINX_GATEWAYS": f"server 127.0.0.1:{ports.of('gateway')} max_fails=0;",
            "NGINX_DOCS": "on",
            "NGINX_HSTS": "",
            "NGINX_TRUSTED_PROXY": "unix:",
            "NGINX_TLS_CERTIFICATE": "",
            "NGINX_TLS_KEY": "",
            "NGINX_STORAGE": f"127.0.0.1:{ports.of('s3')}",
        }

    @property
    def command(self) -> list[str]:
        """nginx in the stack's folder alone."""
        folder = self.directory
        return [
            get_command("nginx"),
            "-p",
            f"{folder}/",
            "-c",
            f"{folder}/nginx.conf",
            "-e",
            "stderr",
        ]

    def probe(self) -> None:
        """Ask for the system's readiness through the open port."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            raise ConnectionError(f"/readyz answers {answer.status_code}: {answer.text[:500]}")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def find_upload_timeout_s(config_dir: Path) -> int:
    """Return a deadline for uploads that only passes after the gateway's own, so that the gateway says what went wrong."""
    upload = UploadSettings(**read_section(config_dir, "upload"))
    gateway_s: float = read_section(config_dir, "gateway")["upload_timeout_s"]
    return math.ceil(gateway_s + transfer_time_s(upload.max_bytes)) + _UPLOAD_MARGIN_S
