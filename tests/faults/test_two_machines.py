"""Servers on one machine, the product on another, and a network between them that is slow, loses packets, or is gone."""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pkg.registry import open_etcd
from scripts.stack import Stack, find_free_port_base
from scripts.stack.ports import SERVICES as SERVICE_NAMES
from tests.conftest import AllSettings, load_settings
from tests.etcd_login import USER, enable_login
from tests.eventually import eventually
from tests.faults.ledger import KINDS, count_by_kind
from tests.faults.load import steady_load
from tests.faults.network import SERVICES, Machine, NoNamespacesError, Wire, two_machines
from tests.faults.wire import Quality

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

SERVER_PROCESSES = ("epmd", "mysql", "redis-actions", "redis-cache", "rabbitmq", "etcd", "s3")
# What the product has to know of servers and keys on the other machine.
SHARED = ("MYSQL", "REDIS_ACTIONS", "REDIS_CACHE", "RABBITMQ", "ETCD", "STORAGE", "TOKEN", "CRYPT")
# There and back 22 to 50 ms, and in each direction one packet of a hundred is lost.
FAR = Quality(delay_ms=18, jitter_ms=7, loss=0.01)
PARTED = Quality(loss=1)
NEAR = Quality()
FAR_S = 30
PARTED_S = 25
WARM_S = 5
HEALS_WITHIN_S = 60
# A call goes back and forth a dozen times: a packet that is lost twice, or the first of a connection, costs it its deadline.
MOST_FAILURES = 0.05
# Each takes half a second.
PEOPLE, CALLS_PER_S = 12, 20


@dataclass(frozen=True)
class Product:
    """The product on its machine, its settings, and the wire to its servers."""

    stack: Stack
    settings: AllSettings
    wire: Wire

    @property
    def base_url(self) -> str:
        """Where its nginx is reached, without the wire."""
        return f"http://{SERVICES}:{self.stack.site.ports.of('nginx')}/"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Servers and product, each on its machine; nothing is wrong with the wire yet."""
    port_base = find_free_port_base()
    try:
        with two_machines(tmp_path_factory.mktemp("machines"), port_base) as machines:
            known = start_servers(machines.servers, port_base)
            stack = start_product(machines.services, port_base, known)
            yield Product(stack, load_settings(stack), machines.wire)
    except NoNamespacesError as exc:
        pytest.fail(str(exc))


def start_servers(machine: Machine, port_base: int) -> dict[str, str]:
    """Bring the servers up; return what an operator tells the product of them."""
    machine.bring_up(SERVER_PROCESSES, {}, migrate=True)
    stack = Stack(machine.run_dir, port_base, address=machine.address)
    etcd_url = f"http://{machine.address}:{stack.site.ports.of('etcd')}"
    password = secrets.token_hex(16)
    asyncio.run(enable_login(etcd_url, password))
    shared = {
        name: value
        for name, value in stack.environment().items()
        if name.removeprefix("DOUSHENG_").partition("__")[0] in SHARED
    }
    return {**shared, "DOUSHENG_ETCD__USER": USER, "DOUSHENG_ETCD__PASSWORD": password}


def start_product(machine: Machine, port_base: int, known: dict[str, str]) -> Stack:
    """Bring services, gateway and nginx up, which know the servers by these settings alone."""
    # All people of a load come from one address.
    settings = {**known, "DOUSHENG_GATEWAY__RATE_LIMIT__ENABLED": "false"}
    machine.bring_up((*SERVICE_NAMES, "gateway", "nginx"), settings)
    return Stack(machine.run_dir, port_base, address=machine.address, overrides=settings)


async def list_registered(settings: AllSettings) -> set[str]:
    """Return the addresses that the registry has."""
    async with open_etcd(settings.etcd) as client:
        found = await client.get_prefix(f"{settings.etcd.prefix}/".encode())
        return {item.key.decode().rpartition("/")[2] for item in found}


async def wait_registered(product: Product) -> None:
    """Wait until the registry has every service at the address of its machine, and nothing else."""
    ports = product.stack.site.ports
    expected = {f"{SERVICES}:{ports.of(name)}" for name in SERVICE_NAMES}

    async def registered() -> bool:
        return await list_registered(product.settings) == expected

    await eventually(registered)


async def test_services_are_found_at_the_addresses_that_they_tell(product: Product) -> None:
    await wait_registered(product)


async def test_over_a_slow_network_that_loses_packets_everything_works(
    product: Product, small_video: Path
) -> None:
    print()
    async with steady_load(
        product.base_url, small_video, people=PEOPLE, calls_per_s=CALLS_PER_S
    ) as load:
        product.wire.become(FAR)
        since_s = load.now()
        await load.goes_on(FAR_S)
        calls = [call for call in load.ledger.calls if call.began_s >= since_s]
        failed = [call for call in calls if call.error]
        product.wire.become(NEAR)
        await load.stop()
        await load.verify(product.settings)

    print(f"  over the slow network: {load.describe(since_s)}")
    assert {call.kind for call in calls if not call.error} == KINDS
    there_and_back_s = 2 * (FAR.delay_ms - FAR.jitter_ms) / 1000
    assert min(call.took_s for call in calls if call.kind == "media") >= there_and_back_s
    assert all(call.is_refusal_of_an_outage for call in failed), count_by_kind(failed)
    assert len(failed) <= MOST_FAILURES * len(calls), count_by_kind(failed)


async def test_parted_machines_find_each_other_again_and_lose_nothing_that_was_acknowledged(
    product: Product, small_video: Path
) -> None:
    print()
    async with steady_load(
        product.base_url, small_video, people=PEOPLE, calls_per_s=CALLS_PER_S
    ) as load:
        product.wire.become(FAR)
        await load.goes_on(WARM_S)
        print(f"  the machines are parted for {PARTED_S} s")
        product.wire.become(PARTED)
        since_s = load.now()
        await load.goes_on(PARTED_S)
        product.wire.become(NEAR)
        healed_s = await load.heals(within_s=HEALS_WITHIN_S)
        print(f"  they are together again; the last call failed {healed_s:.1f} s later")
        await load.stop()
        await load.verify(product.settings)

    print(f"  around the parting: {load.describe(since_s)}")
    await wait_registered(product)
    failed = load.ledger.failures(since_s)
    assert all(call.is_refusal_of_an_outage for call in failed), count_by_kind(failed)
