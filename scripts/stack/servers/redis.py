"""Redis twice: what must not be lost, and what may be."""

from collections.abc import Mapping
from typing import Literal

import redis

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
        """Place, port and password."""
        return {
            "REDIS_DIR": self.directory / "data",
            "REDIS_PORT": self.port,
            "REDIS_PASSWORD": to_redis(self._password),
            "REDIS_ROLE_CONF": self.directory / self._role_conf,
        }

    @property
    def command(self) -> list[str]:
        """The server with its own configuration file."""
        return [get_command("redis-server"), str(self.directory / "server.conf")]

    def probe(self) -> None:
        """Ping with the password; an instance that still loads its log refuses."""
        with redis.Redis(
            host=self.host,
            port=self.port,
            password=self._password,
            socket_timeout=2,
            socket_connect_timeout=2,
        ) as client:
            client.ping()
