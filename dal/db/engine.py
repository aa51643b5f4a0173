"""Connections to the source and the replicas, and the one place where MySQL's errors become ours.

SQL runs on the source for writes and for reads that must see them, on a healthy replica otherwise. A replica that is
down or lags is left out; without one everything runs on the source.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Literal, TypeVar

from loguru import logger
from sqlalchemy import URL, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from dal.db.schema_version import is_new_enough, newest_version
from pkg.endurance import repeat_until_stopped
from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable
from pkg.settings import Count, Port, Seconds, Secret, Section
from pkg.startup import wait_until_available
from pkg.stopping import wait_for_stop

DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205
# Wrong credentials or rights, no such database, an unusable account, a server that takes no writes: only an operator helps.
REFUSALS = frozenset(
    {1044, 1045, 1049, 1130, 1142, 1143, 1227, 1251, 1290, 1370, 1698, 1820, 1836, 1862, 3118}
)
CONFLICT_ATTEMPTS = 5
REPLICA_CHECK_INTERVAL_S = 1.0

IsolationLevel = Literal["AUTOCOMMIT", "READ COMMITTED"]
AUTOCOMMIT: IsolationLevel = "AUTOCOMMIT"
READ_COMMITTED: IsolationLevel = "READ COMMITTED"

T = TypeVar("T")
SERVER_ERRORS = (OperationalError, InterfaceError, InternalError)


class MySQLSettings(Section):
    """The section `mysql`: source, replicas, pool and deadlines."""

    host: str
    """Where the source listens."""
    port: Port
    """Its port."""
    user: str
    """Who logs in, on the replicas as well."""
    password: Secret
    """The password of `user`."""
    database: str
    """The database that holds our tables."""
    replicas: tuple[str, ...] = ()
    """Addresses `host:port` of servers that may be read."""
    pool_connections: Count
    """How many connections one pool holds, at most; a process has two pools for the source and one for each replica."""
    connect_timeout_s: Seconds
    """The deadline of connecting, and of waiting for a free connection."""
    statement_timeout_s: Seconds
    """The deadline of a read or a transaction; below the gateway's RPC deadline, so that the caller gets the error and not silence."""
    max_replica_lag_s: Seconds
    """A replica that is further behind is not read."""


class TransactionConflict(Exception):
    """The transaction lost a deadlock or waited too long for a lock; all of it was rolled back."""


class Database:
    """The engines of one process. Make it with `open_database`."""

    def __init__(self, settings: MySQLSettings) -> None:
        self._timeout_s = settings.statement_timeout_s
        self._writer = _make_engine(settings, settings.host, settings.port, READ_COMMITTED)
        self._reader = _make_engine(settings, settings.host, settings.port, AUTOCOMMIT)
        self._replicas = [Replica(settings, address) for address in settings.replicas]
        self._turn = itertools.count()

    @property
    def has_replicas(self) -> bool:
        """Whether `read` may run on a server that is a moment behind."""
        return bool(self._replicas)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Read what may be a moment old: on a healthy replica, in turn, or on the source."""
        async with translated_errors(self._timeout_s), AsyncExitStack() as stack:
            yield await self._connect_to_any(stack)

    async def _connect_to_any(self, stack: AsyncExitStack) -> AsyncConnection:
        healthy = [replica for replica in self._replicas if replica.is_healthy]
        if healthy:
            replica = healthy[next(self._turn) % len(healthy)]
            try:
                return await stack.enter_async_context(_opened(replica.engine.connect()))
            except (SQLAlchemyError, OSError, DependencyUnavailable):
                # It died since the last check, or all of its connections are busy.
                logger.bind(replica=replica.address).info("read moved to the source")
        return await stack.enter_async_context(_opened(self._reader.connect()))

    async def read_replicas(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> list[T]:
        """Return what a query returns on each healthy replica; one that fails meanwhile is left out, as `read` does.

        Raises:
            DeadlineExceeded: one did not answer in time.
        """
        answers = []
        for replica in [replica for replica in self._replicas if replica.is_healthy]:
            try:
                async with translated_errors(self._timeout_s), replica.engine.connect() as read:
                    answers.append(await query(read))
            except DependencyUnavailable:
                logger.bind(replica=replica.address).info("replica left out")
        return answers

    @asynccontextmanager
    async def read_source(self) -> AsyncIterator[AsyncConnection]:
        """Read what was committed before now, statement by statement."""
        async with (
            translated_errors(self._timeout_s),
            _opened(self._reader.connect()) as connection,
        ):
            yield connection

    @asynccontextmanager
    async def write(self, *, timeout_s: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Run one transaction on the source (READ COMMITTED); it commits when the block ends well.

        Raises:
            TransactionConflict: see `retry_conflicts`.
        """
        async with (
            translated_errors(timeout_s or self._timeout_s),
            _opened(self._writer.begin()) as connection,
        ):
            yield connection

    async def ping(self) -> None:
        """Check that the source answers and is migrated.

        Raises:
            DependencyUnavailable: it does not, or is not.
        """
        try:
            async with self.read_source() as connection:
                found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        except SQLAlchemyError as exc:
            raise DependencyUnavailable(detail="mysql: not migrated") from exc
        if not is_new_enough(found):
            detail = f"mysql: not migrated: at {found}, needs {newest_version()}"
            raise DependencyUnavailable(detail=detail)

    async def check_replicas(self, stop: asyncio.Event) -> None:
        """Keep telling healthy replicas from others until `stop`; a background task of a service."""

        async def check() -> None:
            await asyncio.gather(*(replica.check() for replica in self._replicas))
            await wait_for_stop(stop, REPLICA_CHECK_INTERVAL_S)

        pause_s = REPLICA_CHECK_INTERVAL_S
        await repeat_until_stopped(stop, check, name="replica checks", pause_s=pause_s)

    async def close(self) -> None:
        """Close every pool."""
        replicas = [replica.engine for replica in self._replicas]
        for engine in (self._writer, self._reader, *replicas):
            await engine.dispose()


class Replica:
    """One replica and whether it may be read."""

    def __init__(self, settings: MySQLSettings, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = address
        self._timeout_s = settings.connect_timeout_s
        self._max_lag_s = settings.max_replica_lag_s
        self.engine = _make_engine(settings, host, int(port), AUTOCOMMIT)
        self.is_healthy = False

    async def check(self) -> None:
        """Ask the replica how far behind it is."""
        try:
            async with (
                translated_errors(self._timeout_s),
                _opened(self.engine.connect()) as connection,
            ):
                result = await connection.execute(text("SHOW REPLICA STATUS"))
                row = result.mappings().one_or_none()
            # MySQL and MariaDB name the same column differently; NULL means that replication stands still.
            status = dict(row) if row else {}
            lag = status.get("Seconds_Behind_Source", status.get("Seconds_Behind_Master"))
            healthy = lag is not None and int(lag) <= self._max_lag_s
        except Exception as exc:  # noqa: BLE001 - whatever it answers: it is not to be read
            logger.bind(replica=self.address, cause=repr(exc)).debug("replica not healthy")
            healthy = False
        if healthy != self.is_healthy:
            logger.bind(replica=self.address, healthy=healthy).warning("replica health changed")
        self.is_healthy = healthy


@asynccontextmanager
async def open_database(
    settings: MySQLSettings, *, patient: bool = True
) -> AsyncIterator[Database]:
    """Give a Database whose source answers; close it at the end. Unless `patient`, a source that is down is an error at once."""
    database = Database(settings)
    try:
        await (wait_until_available("mysql", database.ping) if patient else database.ping())
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def translated_errors(timeout_s: float) -> AsyncIterator[None]:
    """Turn the driver's errors into ours and hold the deadline.

    Raises:
        DependencyUnavailable: the server is down or full.
        DependencyRefused: it does not let us in, or not do that; an operator must act.
        DeadlineExceeded: `timeout_s` passed; of a write, the outcome is unknown.
        TransactionConflict: deadlock, or a lock that did not come.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (TimeoutError, PoolTimeoutError) as exc:
        raise DeadlineExceeded(detail="mysql") from exc
    except DBAPIError as exc:
        error = _find_meaning(exc)
        if error is None:
            raise
        raise error from exc
    except OSError as exc:
        raise DependencyUnavailable(detail="mysql") from exc


def _find_meaning(exc: DBAPIError) -> Exception | None:
    """Return what a driver's error means to callers; None for one that is about the statement or its data."""
    number = _error_number(exc)
    if number in (DEADLOCK, LOCK_WAIT_TIMEOUT):
        return TransactionConflict()
    if number in REFUSALS:
        return DependencyRefused(detail=f"mysql: {exc.orig}")
    if exc.connection_invalidated or isinstance(exc, SERVER_ERRORS):
        return DependencyUnavailable(detail="mysql")
    return None


@asynccontextmanager
async def _opened(
    opening: AbstractAsyncContextManager[AsyncConnection],
) -> AsyncIterator[AsyncConnection]:
    """Give the connection; whatever the driver raises while it connects means that the server is unavailable.

    Against a server that accepts and closes, or says what is no MySQL, asyncmy raises errors of many kinds that are not its own.
    """
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(opening)
        except (SQLAlchemyError, TimeoutError, OSError):
            raise
        except Exception as exc:
            raise DependencyUnavailable(detail="mysql: cannot connect") from exc
        yield connection


def _translate_foreign_error(context: ExceptionContext) -> Exception | None:
    """Take what the driver raises in a statement, and is no error of its own, for a connection that is broken.

    A TypeError is about the statement's parameters, which it converts before it sends anything.
    """
    exc = context.original_exception
    is_foreign = context.sqlalchemy_exception is None and isinstance(exc, Exception)
    if not is_foreign or isinstance(exc, SQLAlchemyError | TypeError | TimeoutError):
        return None
    context.is_disconnect = True
    return DependencyUnavailable(detail="mysql: broken connection")


async def retry_conflicts(transaction: Callable[[], Awaitable[T]]) -> T:
    """Run `transaction` again while it loses to another one, a few times.

    Raises:
        DependencyUnavailable: it lost every time.
    """
    for _ in range(CONFLICT_ATTEMPTS - 1):
        try:
            return await transaction()
        except TransactionConflict:
            logger.info("transaction repeated")
    try:
        return await transaction()
    except TransactionConflict as exc:
        raise DependencyUnavailable(detail="mysql: conflicts") from exc


def _error_number(exc: DBAPIError) -> int | None:
    arguments = getattr(exc.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


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


def _make_engine(
    settings: MySQLSettings, host: str, port: int, isolation_level: IsolationLevel
) -> AsyncEngine:
    engine = create_async_engine(
        make_url(settings, driver="asyncmy", host=host, port=port),
        pool_size=settings.pool_connections,
        max_overflow=0,
        pool_timeout=settings.connect_timeout_s,
        pool_pre_ping=True,
        isolation_level=isolation_level,
        # A read needs no transaction, so a connection that comes back has nothing to roll back.
        skip_autocommit_rollback=isolation_level == AUTOCOMMIT,
        hide_parameters=True,  # An error's text must not carry passwords or messages into the log.
        connect_args={
            "connect_timeout": settings.connect_timeout_s,
            "password": encode_password(settings),
        },
    )
    event.listen(engine.sync_engine, "handle_error", _translate_foreign_error)
    return engine
