"""Service discovery over etcd: an instance registers itself under a lease, clients watch the prefix.

A key is `<prefix>/<Service>/<host:port>` and holds JSON `{network, address, weight, tags}`, as the original wrote it.
aetcd neither keeps a lease alive nor resumes a watch by itself; the two loops here do.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator

import aetcd
from loguru import logger

from pkg.endurance import repeat_until_stopped
from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.settings import Count, Port, Seconds, Section
from pkg.stopping import wait_for_stop

RETRY_DELAY_S = 0.5
RESYNC_INTERVAL_S = 20
# A frozen etcd closes no connection: without pings a watch would wait on it indefinitely.
CHANNEL_OPTIONS = {
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 3_000,
    "grpc.max_reconnect_backoff_ms": 1_000,
}


# What etcd says about credentials and rights.
REFUSALS = re.compile("permission denied|auth|user name is empty|certificate", re.IGNORECASE)


class EtcdSettings(Section):
    """The section `etcd`: the registry, its deadline and the life of a registration."""

    host: str
    """Where etcd listens."""
    port: Port
    """Its client port."""
    timeout_s: Seconds
    """The deadline of every request, and of connecting."""
    lease_ttl_s: Count
    """An instance that was killed is forgotten after this."""
    prefix: str
    """The start of every key: `<prefix>/<Service>/<host:port>`, as the original wrote them."""


def open_etcd(settings: EtcdSettings) -> aetcd.Client:
    """Return a client that connects at its first use; close it with `async with`."""
    return aetcd.Client(
        host=settings.host,
        port=settings.port,
        timeout=settings.timeout_s,
        connect_wait_timeout=settings.timeout_s,
        options=CHANNEL_OPTIONS,
    )


class Registration:
    """Keeps one instance registered for as long as `run` runs."""

    def __init__(self, settings: EtcdSettings, *, service: str, address: str) -> None:
        self._settings = settings
        self._address = address
        self._key = f"{settings.prefix}/{service}/{address}".encode()

    async def run(self, stop: asyncio.Event) -> None:
        """Register, refresh the lease, register again whenever it was lost; deregister on `stop`."""

        async def hold() -> None:
            with _translated_errors():
                async with open_etcd(self._settings) as client:
                    await self._hold(client, stop)

        await repeat_until_stopped(
            stop,
            hold,
            name="registration",
            pause_s=RETRY_DELAY_S,
            facts={"address": self._address},
        )

    async def _hold(self, client: aetcd.Client, stop: asyncio.Event) -> None:
        lease = await client.lease(self._settings.lease_ttl_s)
        await client.put(self._key, self._value(), lease=lease)
        logger.bind(address=self._address).info("registered")
        while not await wait_for_stop(stop, self._settings.lease_ttl_s / 3):
            reply = await lease.refresh()
            # No reply at all: the server ended the stream while it was stopping.
            if reply is None or reply.TTL <= 0:
                logger.bind(address=self._address).warning("lease expired")
                return
        await lease.revoke()
        logger.bind(address=self._address).info("deregistered")

    def _value(self) -> bytes:
        return json.dumps(
            {"network": "tcp", "address": self._address, "weight": 10, "tags": None}
        ).encode()


async def follow_instances(
    settings: EtcdSettings, service: str, on_change: Callable[[frozenset[str]], None]
) -> None:
    """Tell `on_change` the addresses ("host:port") of a service, now and after every change, until cancelled.

    While etcd is unavailable nothing is reported: the caller keeps what it has.
    """
    prefix = f"{settings.prefix}/{service}/".encode()

    async def follow() -> None:
        with _translated_errors():
            async with open_etcd(settings) as client:
                await _follow(client, prefix, on_change)

    await repeat_until_stopped(
        asyncio.Event(),
        follow,
        name="discovery",
        pause_s=RETRY_DELAY_S,
        facts={"service": service},
    )


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn the driver's errors into DependencyUnavailable, or DependencyRefused where an operator must act."""
    try:
        yield
    except (aetcd.ClientError, OSError, TimeoutError) as exc:
        failure = DependencyRefused if REFUSALS.search(str(exc)) else DependencyUnavailable
        raise failure(detail=f"etcd: {exc!r}") from exc


async def _follow(
    client: aetcd.Client, prefix: bytes, on_change: Callable[[frozenset[str]], None]
) -> None:
    snapshot = await client.get_prefix(prefix)
    instances = {item.key: _find_address(item.value) for item in snapshot}
    on_change(_known(instances.values()))
    watch = await client.watch_prefix(prefix, start_revision=snapshot.header.revision + 1)
    # aetcd does not report that the server ended the stream in good order: look again now and then.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RESYNC_INTERVAL_S):
            async for event in watch:
                # aetcd gives the kind's name and not the member.
                if event.kind == aetcd.EventKind.DELETE:
                    instances.pop(event.kv.key, None)
                else:
                    instances[event.kv.key] = _find_address(event.kv.value)
                on_change(_known(instances.values()))


def _known(addresses: Iterable[str | None]) -> frozenset[str]:
    return frozenset(address for address in addresses if address)


def _find_address(value: bytes) -> str | None:
    """Return the address in a registered value, or None where it is none of ours."""
    try:
        address = json.loads(value)["address"]
    except (ValueError, KeyError, TypeError):
        address = None
    if not isinstance(address, str):
        logger.bind(value=value[:200]).warning("unreadable registration")
        return None
    return address
