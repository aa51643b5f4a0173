"""Connections to a Redis, and the one place where its errors become ours."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from pkg.dependency_calls import Dependency
from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.nodes import Addresses, Node, NodeTurns
from pkg.settings import Seconds, Secret, Section
from pkg.startup import wait_until_available
from pkg.tls import TlsSettings, is_refused_certificate
from pkg.tracing import Kind, child

__all__ = ["CACHE", "Redis", "RedisSettings", "open_redis", "ping", "translated_errors"]

ACTIONS = Dependency("redis_actions", RedisConnectionError)
CACHE = Dependency("redis_cache", RedisConnectionError)
MAX_CONNECTIONS = 64
TRACED = {"db.system.name": "redis"}
# A wrong password, missing rights, no memory left, a replica, a disk that takes no snapshot: only an operator helps.
REFUSALS = (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)
# The same inside of scripts, whose errors have no class of their own.
REFUSAL_CODES = re.compile(r"\b(MISCONF|NOAUTH|NOPERM|OOM|READONLY|WRONGPASS)\b")
OUTAGE_CODES = re.compile(r"^(BUSY|MASTERDOWN|NOREPLICAS|UNKILLABLE) ")


class RedisSettings(Section):
    """The sections `redis_actions` and `redis_cache`."""

    nodes: Addresses
    """Addresses `host:port`; of several, the one that is the master at the moment is written to and read."""
    tls: TlsSettings | None = None
    password: Secret
    """Its password (`requirepass`)."""
    timeout_s: Seconds
    """The deadline of every command, which includes waiting for a connection and connecting."""


class _Connection(Connection):
    """Connects to the master among the nodes, and raises errors of the driver alone.

    Its own handling of lost connections then sees every failure.
    """

    def __init__(
        self, *, turns: NodeTurns, connect_timeout_s: float, tls: TlsSettings | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._turns = turns
        self._connect_timeout_s = connect_timeout_s
        self._tls = tls

    async def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
        async def connect_to(node: Node) -> None:
            self.host, self.port = node
            try:
                await super(_Connection, self).connect_check_health(*args, **kwargs)
                await self._require_master()
            except BaseException:
                await self.disconnect(nowait=True)
                raise

        if self.is_connected:
            return
        failures = (RedisError, OSError)
        with _own_errors():
            await self._turns.connect(
                connect_to, timeout_s=self._connect_timeout_s, failures=failures
            )

    async def _require_master(self) -> None:
        if len(self._turns) == 1:
            return
        await self.send_command("ROLE", check_health=False)
        role = (await self.read_response())[0]
        if role != b"master":
            raise RedisConnectionError(f"{self.host}:{self.port} is no master, but {role!r}")

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = dict(super()._connection_arguments())
        return arguments | ({"ssl": self._tls.make_context()} if self._tls else {})

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        with _own_errors():
            await super().send_packed_command(*args, **kwargs)

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with _own_errors():
                return await super().read_response(*args, **kwargs)
        except ReadOnlyError as exc:
            if len(self._turns) == 1:
                raise
            # It was the master until now. Nothing was written: another connection finds the new one.
            await self.disconnect(nowait=True)
            raise RedisConnectionError("the master has changed") from exc

    async def can_read_destructive(self) -> bool:
        with _own_errors():
            return bool(await super().can_read_destructive())


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError):
        raise
    except Exception as exc:
        # Such as uvloop's RuntimeError on a transport that was closed meanwhile.
        raise RedisConnectionError(repr(exc)) from exc


class _Pool(BlockingConnectionPool):
    dependency: Dependency

    async def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        with self.dependency.waiting():
            return await super().get_connection(*args, **kwargs)  # type: ignore[no-untyped-call]


class _Pipeline(Pipeline):
    timeout_s: float
    dependency: Dependency

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands: Any = self.command_stack
        first = commands[0][0][0] if commands else "PIPELINE"
        with (
            self.dependency.call("PIPELINE"),
            child(
                f"redis {first}",
                Kind.CLIENT,
                {**TRACED, "db.operation.batch.size": len(commands)},
            ),
        ):
            async with asyncio.timeout(self.timeout_s):
                return await super().execute(raise_on_error)


class _Redis(Redis):
    """Ends every command in time: the driver's own time-outs add up, of the pool, connecting, retrying and reading."""

    timeout_s: float
    dependency: Dependency
    turns: NodeTurns

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with self.dependency.call(args[0]), child(f"redis {args[0]}", Kind.CLIENT, TRACED):
            async with asyncio.timeout(self.timeout_s):
                return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        made = _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.timeout_s, made.dependency = self.timeout_s, self.dependency
        return made


@asynccontextmanager
async def open_redis(
    settings: RedisSettings, *, dependency: Dependency = ACTIONS, patient: bool = True
) -> AsyncIterator[Redis]:
    """Give a client whose server answers; every call ends within `timeout_s`, values are bytes.

    Args:
        dependency: which of the servers it is, for the metrics.
        patient: wait for a server that is down; else that is an error at once.
    """
    # The driver may lose a cancellation that comes while it waits for a connection: that wait ends earlier. What it does with a
    # connection is ended by `_Redis`, and its own time-outs must not pass at the same moment.
    driver_timeout_s = 2 * settings.timeout_s
    turns = NodeTurns(settings.nodes)
    pool = _Pool(
        connection_class=_Connection,
        turns=turns,
        connect_timeout_s=settings.timeout_s,
        tls=settings.tls,
        password=settings.password.get_secret_value(),
        max_connections=MAX_CONNECTIONS,
        timeout=settings.timeout_s / 2,
        socket_timeout=driver_timeout_s,
        socket_connect_timeout=driver_timeout_s,
        # That the server closed an idle connection shows at its next use: connect once more.
        retry=Retry(ConstantBackoff(0.01), 1, supported_errors=(RedisConnectionError,)),
        retry_on_error=[RedisConnectionError],
    )
    client = _Redis(connection_pool=pool)
    client.timeout_s = settings.timeout_s
    client.turns = turns
    client.dependency = pool.dependency = dependency
    try:
        what = f"redis {', '.join(settings.nodes)}"
        is_there = partial(ping, client)
        await (wait_until_available(what, is_there) if patient else is_there())
        yield client
    finally:
        await client.aclose()
        await pool.aclose()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises:
        DependencyUnavailable: the server is down, loading, or did not answer in time.
        DependencyRefused: it does not let us in, is full or takes no writes; an operator must act.

    What it says about a command or its data (a wrong type, an error in a script) is raised as it is: no outage, but a fault of ours.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as exc:
        if (
            isinstance(exc, REFUSALS)
            or (isinstance(exc, ResponseError) and REFUSAL_CODES.search(str(exc)))
            or is_refused_certificate(exc)
        ):
            raise DependencyRefused(detail=f"redis: {exc}") from exc
        if type(exc) is ResponseError and not OUTAGE_CODES.match(str(exc)):
            raise
        raise DependencyUnavailable(detail="redis") from exc


def connected_node(client: Redis) -> Node | None:
    """Return the node that a client of `open_redis` connected to last, which is the master as far as it knows."""
    return client.turns.latest if isinstance(client, _Redis) else None


async def ping(client: Redis) -> None:
    """Check that the server answers.

    Raises:
        DependencyUnavailable: it does not.
    """
    with translated_errors():
        await client.ping()
