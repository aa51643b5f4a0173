"""How connections to one server are made."""

import math
import time
from typing import Any, Literal

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from dal.db.errors import translate_foreign_error
from dal.db.traced import trace_statements
from pkg.settings import Count, Port, Seconds, Secret, Section
from pkg.tls import TlsSettings

IsolationLevel = Literal["AUTOCOMMIT", "READ COMMITTED"]
AUTOCOMMIT: IsolationLevel = "AUTOCOMMIT"
READ_COMMITTED: IsolationLevel = "READ COMMITTED"

# Something between us and a server may forget a connection that rests, without a word to either side.
PING_AFTER_S = 5.0
# Where a connection of a pool keeps when it was last taken.
TAKEN_AT_S = "taken_at_s"


class MySQLSettings(Section):
    """The section `mysql`: source, replicas, pool and deadlines."""

    host: str
    """Where the source listens; with `replicas`, where it is looked for first."""
    port: Port
    """Its port."""
    tls: TlsSettings | None = None
    user: str
    """Who logs in, on the replicas as well."""
    password: Secret
    """The password of `user`."""
    database: str
    """The database that holds our tables."""
    replicas: tuple[str, ...] = ()
    """Addresses `host:port` of the other servers: they are read while they keep up, and one of them is the source after a fail-over."""
    pool_connections: Count
    """How many connections one pool holds, at most; a process uses two pools for the source and one for each replica."""
    connect_timeout_s: Seconds
    """The deadline of connecting, and of waiting for a free connection."""
    statement_timeout_s: Seconds
    """The deadline of a read or a transaction; below the gateway's RPC deadline, so that the caller gets the error and not silence."""
    max_replica_lag_s: Seconds
    """A replica that is further behind is not read."""


def make_url(settings: MySQLSettings, *, driver: str, host: str, port: int) -> URL:
    """Return the SQLAlchemy URL of one server."""
    return URL.create(
        f"mysql+{driver}",
        username=settings.user,
        password=settings.password.get_secret_value(),
        host=host,
        port=port,
        database=settings.database,
        query={"charset": "utf8mb4"},
    )


def encode_password(settings: MySQLSettings) -> bytes:
    """Return the password as the server knows it; of a text the drivers would send Latin 1."""
    return settings.password.get_secret_value().encode()


def use_tls(engine: Engine, tls: TlsSettings | None) -> None:
    """Let every connection of an engine, over asyncmy or PyMySQL, begin with a handshake; a server without TLS is refused."""
    if tls is None:
        return

    def add_context(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        options["ssl"] = tls.make_context()

    event.listen(engine, "do_connect", add_context)


def replace_lost_connections(engine: Engine, *, ping_after_s: float) -> None:
    """Let a pool replace a connection that was lost instead of giving it to somebody.

    That the server closed one is known without asking. Only one that rested is asked: a ping is a round trip, as costly as most reads.

    Args:
        ping_after_s: how long it was not taken; 0: each is asked.
    """
    dialect = engine.dialect

    def take(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        now_s = time.monotonic()
        # A new connection has no note.
        taken_at_s = record.info.get(TAKEN_AT_S, now_s)
        record.info[TAKEN_AT_S] = now_s
        if connection.driver_connection._transport.is_closing():
            raise InvalidatePoolError
        if now_s - taken_at_s > ping_after_s:
            try:
                dialect.do_ping(connection)
            except dialect.loaded_dbapi.Error as exc:
                raise InvalidatePoolError from exc

    event.listen(engine, "checkout", take)


def make_engine(
    settings: MySQLSettings,
    host: str,
    port: int,
    isolation_level: IsolationLevel,
    *,
    ping_after_s: float = PING_AFTER_S,
) -> AsyncEngine:
    """Return a pool of connections to one server."""
    engine = create_async_engine(
        make_url(settings, driver="asyncmy", host=host, port=port),
        pool_size=settings.pool_connections,
        max_overflow=0,
        pool_timeout=settings.connect_timeout_s,
        pool_use_lifo=True,  # Those that are used need no ping, and the others rest.
        isolation_level=isolation_level,
        # A read needs no transaction, so a connection that comes back has nothing to roll back.
        skip_autocommit_rollback=isolation_level == AUTOCOMMIT,
        hide_parameters=True,  # An error's text must not carry passwords or messages into the log.
        connect_args={
            "connect_timeout": settings.connect_timeout_s,
            "password": encode_password(settings),
        },
    )
    event.listen(engine.sync_engine, "handle_error", translate_foreign_error)
    replace_lost_connections(engine.sync_engine, ping_after_s=ping_after_s)
    trace_statements(engine.sync_engine, host)
    use_tls(engine.sync_engine, settings.tls)
    return engine


def make_blocking_engine(settings: MySQLSettings, *, read_timeout_s: int | None = None) -> Engine:
    """Return what connects to the server `host` for a migration or an administrator; each connection is a new one.

    Args:
        read_timeout_s: the deadline of each answer; None: a statement may take as long as it takes.
    """
    engine = create_engine(
        make_url(settings, driver="pymysql", host=settings.host, port=settings.port),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "connect_timeout": math.ceil(settings.connect_timeout_s),
            "read_timeout": read_timeout_s,
            "password": encode_password(settings),
            # Else it would read the machine's certificates, and encrypt where the server offers it, without a look at who that is.
            "ssl_disabled": settings.tls is None,
        },
    )
    use_tls(engine, settings.tls)
    return engine
