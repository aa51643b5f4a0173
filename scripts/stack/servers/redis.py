"""Redis twice: what must not be lost, and what may be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import redis

from pkg.tls import TlsFiles
from scripts.stack.component import Component, Listener
from scripts.stack.files import get_command
from scripts.stack.site import Site
from scripts.stack.syntax import to_redis


class Redis(Component):
    """One Redis instance."""

    folders = ("data",)

    def __init__(self, site: Site, role: Literal["actions", "cache"]) -> None:
        super().__init__(site)
        credentials = site.credentials
        self.name = f"redis-{role}"
        self.listeners = (Listener(self.name, f"Redis ({role})"),)
        self._role_conf = f"{role}.conf"
        self.templates = ("redis/server.conf.template", f"redis/{self._role_conf}")
        self._password = credentials.redis_actions if role == "actions" else credentials.redis_cache

    @property
    def values(self) -> Mapping[str, object]:
        """Place, address, port and password."""
        return {
            "REDIS_ADDRESS": self.host,
            "REDIS_DIR": self.directory / "data",
            "REDIS_PORT": self.port,
            "REDIS_PASSWORD": to_redis(self._password),
            "REDIS_ROLE_CONF": self.directory / self._role_conf,
        }

    @property
    def command(self) -> list[str]:
        """The server with its own configuration file."""
        configuration = str(self.directory / "server.conf")
        return [get_command("redis-server"), configuration, *self._tls_options()]

    def _tls_options(self) -> list[str]:
        """Answer nobody without a certificate, where the stack has TLS."""
        if self.tls_pair is None:
            return []
        authorities = self.site.authority.certificate_file
        listen = [
            "--port",
            "0",
            "--tls-port",
            str(self.port),
            "--tls-ca-cert-file",
            str(authorities),
        ]
        pair = self.tls_pair
        return [*listen, "--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key)]

    def probe(self) -> None:
        """Ping with the password; an instance that still loads its log refuses."""
        tls = self.site.operator_tls or TlsFiles()
        with redis.Redis(
            host=self.host,
            port=self.port,
            password=self._password,
            socket_timeout=2,
            socket_connect_timeout=2,
            ssl=self.site.has_tls,
            ssl_ca_certs=_to_text(tls.ca_file),
            ssl_certfile=_to_text(tls.certificate_file),
            ssl_keyfile=_to_text(tls.key_file),
        ) as client:
            client.ping()


def _to_text(path: Path | None) -> str | None:
    return str(path) if path else None
