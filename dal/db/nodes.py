"""The servers of one database: which of them is the source, and which replicas may be read.

Their roles are asked, not configured: the source is the one that takes writes and follows nobody. A fail-over ends a *term*, whose number is
a row of the database: a server that still takes writes under an older term than one that was seen anywhere has been replaced.
"""

import asyncio
import itertools
from dataclasses import dataclass

from loguru import logger
from sqlalchemy import event, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from dal.db.connections import AUTOCOMMIT, READ_COMMITTED, MySQLSettings, make_engine
from dal.db.errors import opened, translated_errors
from dal.db.models import ReplicationTerm
from pkg.errors import DependencyUnavailable

NODE_CHECK_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class NodeState:
    """What a server said of itself."""

    is_read_only: bool
    follows: bool  # another server, whether or not that works at the moment
    lag_s: int | None  # None: it follows nobody, or stands still
    term: int

    @property
    def is_source(self) -> bool:
        """Whether it takes writes of its own."""
        return not self.is_read_only and not self.follows


class Node:
    """One server, its pools, and what is known of it; None while it does not answer."""

    def __init__(self, settings: MySQLSettings, host: str, port: int, *, is_alone: bool) -> None:
        self.address = f"{host}:{port}"
        self.state: NodeState | None = None
        self.is_healthy = False  # a replica that may be read
        self._timeout_s = settings.connect_timeout_s
        self.writer = make_engine(settings, host, port, READ_COMMITTED)
        if is_alone:
            self.source_reader = self.reader = make_engine(settings, host, port, AUTOCOMMIT)
            return
        # A read goes elsewhere where a connection says beforehand that the replica is gone.
        self.reader = make_engine(settings, host, port, AUTOCOMMIT, ping_after_s=0)
        self.source_reader = make_engine(settings, host, port, AUTOCOMMIT)
        event.listen(self.source_reader.sync_engine, "checkout", _refuse_closed_source)

    async def ask(self) -> NodeState:
        """Ask the server what it is.

        Raises:
            DependencyUnavailable: it is down, or DependencyRefused: it does not let us in.
            DeadlineExceeded: it did not answer in time.
        """
        async with (
            translated_errors(self._timeout_s),
            opened(self.reader.connect()) as connection,
        ):
            return await _read_state(connection)

    async def look(self) -> None:
        """Note what the server says it is."""
        try:
            self.state = await self.ask()
        except Exception as exc:  # noqa: BLE001 - whatever it answers: it is not to be used
            logger.bind(node=self.address, cause=repr(exc)).debug("node does not answer")
            self.state = None

    @property
    def engines(self) -> set[AsyncEngine]:
        """Every pool."""
        return {self.writer, self.reader, self.source_reader}


class Nodes:
    """The servers that the settings name; the first one is taken for the source until they have been asked."""

    def __init__(self, settings: MySQLSettings) -> None:
        own = f"{settings.host}:{settings.port}"
        addresses = [own, *(address for address in settings.replicas if address != own)]
        self._max_lag_s = settings.max_replica_lag_s
        self._all = [
            Node(settings, host, int(port), is_alone=len(addresses) == 1)
            for host, _, port in (address.rpartition(":") for address in addresses)
        ]
        self._term = 0
        self._replaced: list[Node] = []
        self._turn = itertools.count()
        self._source = self._all[0]

    @property
    def source(self) -> Node:
        """The server that takes writes, as far as is known.

        Raises:
            DependencyUnavailable: it has been replaced by one that does not answer.
        """
        if self._source.state is not None and self._source.state.term < self._term:
            raise DependencyUnavailable(detail="mysql: the source has been replaced")
        return self._source

    @property
    def all(self) -> list[Node]:
        """Every server."""
        return self._all

    @property
    def is_one(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self._all) == 1

    @property
    def healthy_replicas(self) -> list[Node]:
        """Those that may be read."""
        return [node for node in self._all if node.is_healthy]

    def next_replica(self) -> Node | None:
        """Return the replica whose turn it is to be read, if there is a healthy one."""
        healthy = self.healthy_replicas
        return healthy[next(self._turn) % len(healthy)] if healthy else None

    async def find_source(self) -> None:
        """Ask every server what it is, and follow the source where it has moved."""
        if self.is_one:
            return
        await asyncio.gather(*(node.look() for node in self._all))
        self._choose_source()

    async def check(self) -> None:
        """Find the source, and tell replicas that may be read from others."""
        await self.find_source()
        for node in self._all:
            is_healthy = self._may_be_read(node)
            if is_healthy != node.is_healthy:
                log = logger.bind(replica=node.address, healthy=is_healthy)
                log.warning("replica health changed")
            node.is_healthy = is_healthy

    def _choose_source(self) -> None:
        known = [node.state for node in self._all if node.state is not None]
        self._term = max([self._term, *(state.term for state in known)])
        sources = [node for node in self._all if node.state and node.state.is_source]
        current = [node for node in sources if node.state and node.state.term >= self._term]
        replaced = [node for node in sources if node not in current or len(current) > 1]
        for node in replaced:
            if node not in self._replaced:
                # Harmless to what was acknowledged: nobody confirms its writes, and nobody here uses it.
                logger.bind(node=node.address).error("server takes writes and is not the source")
        self._replaced = replaced
        if current and self._source not in current:
            logger.bind(old=self._source.address, new=current[0].address).warning("source changed")
            self._source = current[0]

    def _may_be_read(self, node: Node) -> bool:
        state = node.state
        return (
            node is not self._source
            and state is not None
            and state.term == self._term
            and state.lag_s is not None
            and state.lag_s <= self._max_lag_s
        )

    async def close(self) -> None:
        """Close every pool."""
        for node in self._all:
            for engine in node.engines:
                await engine.dispose()


async def _read_state(connection: AsyncConnection) -> NodeState:
    is_read_only = await connection.scalar(text("SELECT @@global.read_only"))
    result = await connection.execute(text("SHOW REPLICA STATUS"))
    row = result.mappings().first()
    # MySQL and MariaDB name the same column differently; NULL means that replication stands still.
    status = dict(row) if row else {}
    lag = status.get("Seconds_Behind_Source", status.get("Seconds_Behind_Master"))
    return NodeState(
        is_read_only=bool(is_read_only),
        follows=bool(status),
        lag_s=None if lag is None else int(lag),
        term=await _read_term(connection),
    )


async def _read_term(connection: AsyncConnection) -> int:
    try:
        term = await connection.scalar(select(ReplicationTerm.term).limit(1))
    except ProgrammingError:
        # A database that is not migrated yet.
        return 0
    return term or 0


def _refuse_closed_source(
    connection: PoolProxiedConnection, _record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Refuse to read as the source a server that was closed for a fail-over since it was last asked."""
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT @@global.read_only")
        ((is_read_only,),) = cursor.fetchall()
    finally:
        cursor.close()
    if is_read_only:
        raise DependencyUnavailable(detail="mysql: the source has been closed")
