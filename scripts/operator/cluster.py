"""The servers of one MySQL database, as an operator reaches them."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field

from sqlalchemy.exc import OperationalError

from dal.db.connections import MySQLSettings
from dal.db.replication import ReplicationSettings, Server, administered
from pkg.settings import ProcessSettings

TRIES = 3
CONNECT_TIMEOUT_S = 2.0


class FailoverSettings(ProcessSettings):
    mysql: MySQLSettings
    replication: ReplicationSettings


class Refused(Exception):
    """What was asked for is not safe, or makes no sense; the text says why and what to do."""


@dataclass
class Cluster:
    """The servers that answer, and the addresses of those that do not."""

    settings: FailoverSettings
    servers: list[Server] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def get(self, address: str) -> Server:
        """Return a server by its address."""
        for server in self.servers:
            if server.address == address:
                return server
        known = ", ".join(server.address for server in self.servers)
        raise Refused(f"{address} does not answer or is not in the settings; these answer: {known}")

    @property
    def heads(self) -> list[Server]:
        """Those that follow nobody and know the newest term; another one that follows nobody was replaced."""
        newest = max((server.read_term() for server in self.servers), default=0)
        return [
            server
            for server in self.servers
            if server.source is None and server.read_term() == newest
        ]

    @property
    def followers(self) -> list[Server]:
        """Those that follow another server, whether or not that works."""
        return [server for server in self.servers if server.source is not None]

    @property
    def source(self) -> Server | None:
        """The server that takes writes under the newest term, if one does."""
        return next((server for server in self.heads if not server.is_read_only), None)


def connect(stack: ExitStack, settings: FailoverSettings) -> Cluster:
    """Log in on every server of the settings."""
    mysql = settings.mysql
    cluster = Cluster(settings)
    for address in dict.fromkeys([f"{mysql.host}:{mysql.port}", *mysql.replicas]):
        server = _log_in(stack, settings, address)
        if server is None:
            cluster.missing.append(address)
        else:
            cluster.servers.append(server)
    if not cluster.servers:
        raise Refused("no server answers")
    return cluster


def _log_in(stack: ExitStack, settings: FailoverSettings, address: str) -> Server | None:
    for _ in range(TRIES):
        login = administered(
            settings.mysql, settings.replication, address, timeout_s=CONNECT_TIMEOUT_S
        )
        try:
            return stack.enter_context(login)
        except OperationalError as exc:
            problem = exc.orig
    print(f"{address} does not answer: {problem}", file=sys.stderr)
    return None
