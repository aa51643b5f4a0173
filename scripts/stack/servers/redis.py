"""Redis twice: what must not be lost, and what may be."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import redis

from scripts.stack.files import hash_files, make_private_dir, render, write_private
from scripts.stack.programs import Listener, Program, Tier
from scripts.stack.site import Site


@dataclass(frozen=True)
class Redis:
    """One Redis instance."""

    site: Site
    role: Literal["actions", "cache"]

    @property
    def name(self) -> str:
        """The process's name."""
        return f"redis-{self.role}"

    @property
    def _directory(self) -> Path:
        return self.site.run_dir / self.name

    @property
    def _password(self) -> str:
        credentials = self.site.credentials
        return credentials.redis_actions if self.role == "actions" else credentials.redis_cache

    @property
    def _port(self) -> int:
        return self.site.ports.of(self.name)

    def prepare(self) -> None:
        """Write the configuration."""
        make_private_dir(self._directory / "data")
        template = self.site.config_dir / "redis" / f"{self.role}.conf.template"
        values = {
            "REDIS_DIR": self._directory / "data",
            "REDIS_PORT": self._port,
            "REDIS_PASSWORD": self._password,
        }
        write_private(self._directory / "redis.conf", render(template, values))

    def program(self) -> Program:
        """Return how redis-server runs."""
        config = self._directory / "redis.conf"
        return Program(
            name=self.name,
            kind="server",
            tier=Tier.SERVERS,
            command=(shutil.which("redis-server") or "/usr/bin/redis-server", str(config)),
            listeners=(Listener(f"Redis ({self.role})", self._port),),
            fingerprint=hash_files(config),
        )

    def probe(self) -> None:
        """Ping with the password; an instance that still loads its log refuses."""
        with redis.Redis(
            host="127.0.0.1",
            port=self._port,
            password=self._password,
            socket_timeout=2,
            socket_connect_timeout=2,
        ) as client:
            client.ping()
