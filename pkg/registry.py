"""Service discovery over etcd: an instance registers itself under a lease, clients watch the prefix.

A key is `<prefix>/<Service>/<host:port>` and holds JSON `{network, address, weight, tags}`, as the original wrote it.
aetcd neither keeps a lease alive nor resumes a watch by itself; the two loops here do.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

import aetcd
import grpc
from loguru import logger
from pydantic import model_validator

from pkg.endurance import repeat_until_stopped
from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.etcd_client import EtcdClient
from pkg.nodes import Addresses, Node, NodeTurns, parse_node
from pkg.own_address import resolve_own
from pkg.settings import Count, Seconds, Secret, Section
from pkg.stopping import wait_for_stop
from pkg.tls import TlsSettings

RETRY_DELAY_S = 0.5
RESYNC_INTERVAL_S = 20
# What etcd says about credentials and rights.
REFUSALS = re.compile("permission denied|auth|user name is empty|certificate", re.IGNORECASE)


class EtcdSettings(Section):
    """The section `etcd`: the registry, its deadline and the life of a registration."""

    nodes: Addresses
    """Addresses `host:port` of etcd's members, tried in turn; `unix:/path:port` is a socket, whose name etcd ends so."""
    tls: TlsSettings | None = None
    user: str | None = None
    """Who logs in; null where etcd asks nobody who they are."""
    password: Secret | None = None
    """The password of `user`."""
    timeout_s: Seconds
    """The deadline of every request, and of connecting."""
    lease_ttl_s: Count
    """An instance that was killed is forgotten after this."""
    prefix: str
    """The start of every key: `<prefix>/<Service>/<host:port>`, as the original wrote them."""

    @model_validator(mode="after")
    def _name_both_or_none(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")
        return self


@asynccontextmanager
async def open_etcd(settings: EtcdSettings) -> AsyncIterator[aetcd.Client]:
    """Give a client of a member that answers, logged in where there is a user; its token lives for minutes: do not keep it.

    Raises:
        DependencyUnavailable: no member answers, or DependencyRefused: it refuses the user or a certificate.
    """
    turns = NodeTurns(settings.nodes)
    with _translated_errors():
        client = await turns.connect(partial(_connect, settings), timeout_s=settings.timeout_s)
    try:
        yield client
    finally:
        await client.close()


async def _connect(settings: EtcdSettings, node: Node) -> aetcd.Client:
    client = EtcdClient(
        node,
        tls=settings.tls,
        user=settings.user,
        password=settings.password.get_secret_value() if settings.password else None,
        timeout_s=settings.timeout_s,
    )
    try:
        with _translated_errors():
            await client.connect()
            # Such a read needs a leader: a member that lost the others answers none. A user may read below the prefix alone.
            await client.get(f"{settings.prefix}/".encode())
    except BaseException:
        await client.close()
        raise
    return client


async def list_instances(settings: EtcdSettings) -> dict[str, list[str]]:
    """Return the addresses ("host:port") that are registered at this moment, by the name of their service.

    Raises:
        DependencyUnavailable: etcd does not answer, or DependencyRefused: it refuses the user or a certificate.
    """
    prefix = f"{settings.prefix}/".encode()
    found: dict[str, list[str]] = {}
    with _translated_errors():
        async with open_etcd(settings) as client:
            registered = await client.get_prefix(prefix)
    for item in registered:
        service = item.key.removeprefix(prefix).decode(errors="replace").partition("/")[0]
        if address := _find_address(item.value):
            found.setdefault(service, []).append(address)
    return found


class Registration:
    """Keeps one instance registered for as long as `run` runs; of the host `auto` it finds the address itself."""

    def __init__(self, settings: EtcdSettings, *, service: str, address: str) -> None:
        self._settings = settings
        self._address = address
        self._prefix = f"{settings.prefix}/{service}"

    async def run(self, stop: asyncio.Event) -> None:
        """Register, refresh the lease, register again whenever it was lost; deregister on `stop`."""

        async def hold() -> None:
            with _translated_errors():
                etcd = parse_node(self._settings.nodes[0])
                address = await resolve_own(self._address, towards=etcd)
                async with open_etcd(self._settings) as client:
                    await self._hold(client, address, stop)

        await repeat_until_stopped(
            stop,
            hold,
            name="registration",
            pause_s=RETRY_DELAY_S,
            facts={"address": self._address},
        )

    async def _hold(self, client: aetcd.Client, address: str, stop: asyncio.Event) -> None:
        lease = await client.lease(self._settings.lease_ttl_s)
        await client.put(f"{self._prefix}/{address}".encode(), _describe(address), lease=lease)
        logger.bind(address=address).info("registered")
        while not await wait_for_stop(stop, self._settings.lease_ttl_s / 3):
            reply = await lease.refresh()
            # No reply at all: the server ended the stream while it was stopping.
            if reply is None or reply.TTL <= 0:
                logger.bind(address=address).warning("lease expired")
                return
        # The token of `client` may have ended meanwhile; keeping a lease alive asks for none, revoking it does.
        async with open_etcd(self._settings) as fresh:
            await fresh.revoke_lease(lease.id)
        logger.bind(address=address).info("deregistered")


def _describe(address: str) -> bytes:
    return json.dumps({"network": "tcp", "address": address, "weight": 10, "tags": None}).encode()


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
    except (aetcd.ClientError, grpc.aio.AioRpcError, OSError, TimeoutError) as exc:
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
