"""nginx: the one door that is open to the network."""

import math
import os
import shlex
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from pkg.settings import read_section
from pkg.uploads import UploadSettings, transfer_time_s
from scripts.private_files import write_private
from scripts.stack.component import Component, Listener, Tier, digest
from scripts.stack.files import get_command
from scripts.stack.plain_http import ask
from scripts.stack.ports import ALL_ADDRESSES
from scripts.stack.report import StackError
from scripts.stack.site import Site

# A multipart body is a little longer than the file that it carries.
_UPLOAD_OVERHEAD_MB = 1
_UPLOAD_MARGIN_S = 5
# Names that the container engine resolves.
_CONTAINERS_ONLY = "resolved.conf.template"


class Nginx(Component):
    """The API and `/media/` under one port: a master that lives on while its configuration changes, and a worker."""

    name = "nginx"
    tier = Tier.EDGE
    host = ALL_ADDRESSES
    folders = ("temp",)
    stop_signal = "QUIT"
    # Longer than its worker may take to finish what it has.
    stop_within_s = 15
    # A master that is killed leaves its worker behind; told to end, it takes the worker with it.
    orphan_signal = "TERM"

    def __init__(self, site: Site, gateways: Sequence[str], *, storage: str) -> None:
        super().__init__(site)
        self._gateways, self._storage = gateways, storage
        encrypted = (
            [Listener("nginx-https", "the API and media over HTTPS")] if site.has_tls else []
        )
        self.listeners = [Listener("nginx", "the API and media"), *encrypted]
        found = sorted((site.config_dir / "nginx").glob("*.template"))
        self.templates = [
            str(path.relative_to(site.config_dir))
            for path in found
            if path.name != _CONTAINERS_ONLY
        ]

    @property
    def values(self) -> Mapping[str, object]:
        """Where it listens, what it lets pass, and what stands behind it."""
        pair = self.tls_pair
        return {
            "NGINX_DIR": self.directory,
            "NGINX_LISTEN": self._listen(),
            "NGINX_MAX_BODY_MB": find_most_body_mb(self.site.config_dir),
            "NGINX_UPLOAD_TIMEOUT_S": find_upload_timeout_s(self.site.config_dir),
            "NGINX_USER": "user root;" if os.geteuid() == 0 else "",
            "NGINX_GATEWAYS": name_gateways(self._gateways),
            "NGINX_STORAGE": self._storage,
            "NGINX_STORAGE_SCHEME": "https" if self.site.has_tls else "http",
            "NGINX_STORAGE_TLS": self._storage_tls(),
            "NGINX_BEHIND": "listed.conf",
            "NGINX_DOCS": "on",
            "NGINX_HSTS": "",
            "NGINX_TRUSTED_PROXY": "unix:",
            "NGINX_TLS_CERTIFICATE": pair.certificate if pair else "",
            "NGINX_TLS_KEY": pair.key if pair else "",
        }

    def _listen(self) -> str:
        """Return the addresses, HTTPS too where the stack has TLS."""
        hosts = ("", "[::]:") if _has_ipv6() else ("",)
        plain = [f"listen {host}{self.port};" for host in hosts]
        if self.tls_pair is None:
            return " ".join(plain)
        port = self.port_of(self.listeners[1])
        encrypted = [f"listen {host}{port} ssl http2;" for host in hosts]
        return " ".join([*plain, *encrypted, "include tls.conf;"])

    def _storage_tls(self) -> str:
        """Return whom nginx takes for the storage, where the stack has TLS."""
        if not self.site.has_tls:
            return ""
        authorities = self.site.authority.certificate_file
        believed = f"proxy_ssl_trusted_certificate {authorities};"
        return f"proxy_ssl_verify on; proxy_ssl_name storage; {believed}"

    @property
    def working_directory(self) -> Path:
        """Its own folder, by which its processes are told from another stack's."""
        return self.directory

    @property
    def preparation(self) -> Sequence[str]:
        """Ask the worker of a master that was killed to finish what it has and to leave the port to the next one."""
        pid_file = shlex.quote(str(self.directory / "nginx.pid"))
        return [
            f"[ ! -s {pid_file} ] || pkill -QUIT -f -g \"$(cat {pid_file})\" '^nginx: worker'",
        ]

    @property
    def fingerprint(self) -> str:
        """A digest of its command alone: a changed configuration is read without a restart."""
        return digest(self.launch_script())

    @property
    def is_current(self) -> bool:
        """Whether the configuration that was noted as read is the present one."""
        return self._note.exists() and self._note.read_text() == digest(str(self.files()))

    def note_current(self) -> None:
        """Note that nginx has read its present configuration."""
        write_private(self._note, digest(str(self.files())))

    @property
    def _note(self) -> Path:
        return self.directory / "read"

    def check_configuration(self) -> None:
        """Refuse a configuration that nginx would not read, which a reload would hide.

        Raises:
            StackError: with what nginx says of it.
        """
        done = subprocess.run(
            [*self.command, "-t", "-q"], capture_output=True, text=True, timeout=10, check=False
        )
        if done.returncode != 0:
            raise StackError(
                "nginx refuses its configuration", log_tail=done.stderr.splitlines()[-20:]
            )

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
        answer = ask(f"http://127.0.0.1:{self.port}/readyz", timeout_s=10)
        if answer.status_code != httpx.codes.OK:
            raise ConnectionError(f"/readyz answers {answer.status_code}: {answer.text[:500]}")


def name_gateways(addresses: Sequence[str]) -> str:
    """Return the servers of the upstream, of which one that fails is left out for a moment."""
    return "\n    ".join(f"server {address} max_fails=3 fail_timeout=2s;" for address in addresses)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def find_most_body_mb(config_dir: Path) -> int:
    """Return how long a body may be, so that nginx lets pass what the gateway wants to judge."""
    upload = UploadSettings(**read_section(config_dir, "upload"))
    return upload.max_upload_mb + _UPLOAD_OVERHEAD_MB


def find_upload_timeout_s(config_dir: Path) -> int:
    """Return a deadline for uploads that only passes after the gateway's own, so that the gateway says what went wrong."""
    upload = UploadSettings(**read_section(config_dir, "upload"))
    gateway_s: float = read_section(config_dir, "gateway")["upload_timeout_s"]
    return math.ceil(gateway_s + transfer_time_s(upload.max_bytes)) + _UPLOAD_MARGIN_S
