"""Connections to a Redis, and the one place where its errors become ours."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from pkg.errors import DependencyUnavailable
from pkg.settings import Port, Seconds, Secret, Section
from pkg.startup import wait_until_available

__all__ = ["Redis", "RedisSettings", "open_redis", "translated_errors"]

MAX_CONNECTIONS = 64


class RedisSettings(Section):
    """The sections `redis_actions` and `redis_cache`."""

    host: str
    """Where this Redis listens."""
    port: Port
    """Its port."""
    password: Secret
    """Its password (`requirepass`)."""
    timeout_s: Seconds
    """The deadline of connecting and of every command."""


@asynccontextmanager
async def open_redis(settings: RedisSettings) -> AsyncIterator[Redis]:
    """Give a client whose server answers; every call ends within `timeout_s`, values are bytes."""
    pool = BlockingConnectionPool(
        host=settings.host,
        port=settings.port,
        password=settings.password.get_secret_value(),
        max_connections=MAX_CONNECTIONS,
        timeout=settings.timeout_s,
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
        # That the server closed an idle connection shows at its next use: connect once more.
        retry=Retry(ConstantBackoff(0.01), 1, supported_errors=(RedisConnectionError,)),
        retry_on_error=[RedisConnectionError],
    )
    client = Redis(connection_pool=pool)
    try:
        await wait_until_available(f"redis {settings.port}", partial(_ping, client))
        yield client
    finally:
        await client.aclose()
        await pool.aclose()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises:
        DependencyUnavailable: the server is down, loading, full, or did not answer in time.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as exc:
        raise DependencyUnavailable(detail="redis") from exc


async def _ping(client: Redis) -> None:
    with translated_errors():
        await client.ping()
