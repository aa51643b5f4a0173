"""Discovery on a real etcd that forgets leases, dies and loses its data."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import aetcd
import pytest

from pkg import registry
from pkg.errors import DependencyUnavailable
from pkg.registry import EtcdSettings, Registration, follow_instances, open_etcd
from pkg.rpc.client import ServiceClient, call
from protos import user_pb2_grpc
from protos.user_pb2 import UserInfoRequest
from tests.bad_servers import BAD, Behaviour, bad_server_before, on_uvloop
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.freezing import frozen
from tests.rpc_instance import Instance, serve

ADDRESS = "127.0.0.1:8085"


@pytest.fixture
def etcd(settings: AllSettings, request: pytest.FixtureRequest) -> EtcdSettings:
    """A short lease, and a prefix that no other test has."""
    prefix = f"{settings.etcd.prefix}/{request.node.name}"
    changes = {"lease_ttl_s": 2, "timeout_s": 1, "prefix": prefix}
    return settings.etcd.model_copy(update=changes)


@pytest.fixture
async def client(etcd) -> AsyncIterator[aetcd.Client]:
    async with open_etcd(etcd) as opened:
        yield opened


def key_of(etcd: EtcdSettings, address: str = ADDRESS) -> bytes:
    return f"{etcd.prefix}/UserService/{address}".encode()


@asynccontextmanager
async def registered(etcd: EtcdSettings, address: str = ADDRESS) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Registration(etcd, service="UserService", address=address).run(stop))
        try:
            await eventually(lambda: is_registered(etcd, address))
            yield
        finally:
            stop.set()


async def is_registered(etcd: EtcdSettings, address: str = ADDRESS) -> bool:
    try:
        async with open_etcd(etcd) as client:
            return await client.get(key_of(etcd, address)) is not None
    except (aetcd.ClientError, DependencyUnavailable):
        return False


class Follower:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[frozenset[str]] = []

    @property
    def last(self) -> set[str]:
        return set(self.told[-1])


@asynccontextmanager
async def following(etcd: EtcdSettings) -> AsyncIterator[Follower]:
    follower = Follower()
    task = asyncio.create_task(follow_instances(etcd, "UserService", follower.told.append))
    try:
        await eventually(lambda: follower.told or task.done())
        yield follower
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_an_instance_is_registered_as_the_original_wrote_it(etcd, client):
    async with registered(etcd):
        found = await client.get(key_of(etcd))

    assert json.loads(found.value) == {
        "network": "tcp",
        "address": ADDRESS,
        "weight": 10,
        "tags": None,
    }


async def test_the_lease_is_kept_for_as_long_as_the_instance_lives(etcd, client):
    async with registered(etcd):
        first = await client.get(key_of(etcd))
        loop = asyncio.get_running_loop()
        end = loop.time() + 1.75 * etcd.lease_ttl_s

        async def lease_is_over() -> bool:
            found = await client.get(key_of(etcd))
            assert found.mod_revision == first.mod_revision
            return bool(loop.time() > end)

        await eventually(lease_is_over)


async def test_a_stopped_instance_is_gone_at_once(etcd, client):
    async with registered(etcd):
        pass

    assert await client.get(key_of(etcd)) is None


async def test_a_killed_instance_is_forgotten_with_its_lease(etcd, client):
    registration = Registration(etcd, service="UserService", address=ADDRESS)
    task = asyncio.create_task(registration.run(asyncio.Event()))
    await eventually(lambda: is_registered(etcd))
    async with following(etcd) as follower:
        assert follower.last == {ADDRESS}

        task.cancel()
        await asyncio.wait({task})

        await eventually(lambda: follower.last == set())


async def test_a_revoked_lease_is_replaced(etcd, client):
    async with registered(etcd):
        first = await client.get(key_of(etcd))
        await client.revoke_lease(first.lease)
        assert await client.get(key_of(etcd)) is None

        await eventually(lambda: is_registered(etcd))


async def test_a_follower_hears_of_every_change(etcd):
    async with following(etcd) as follower:
        assert follower.last == set()

        async with registered(etcd, "a:1"):
            await eventually(lambda: follower.last == {"a:1"})
            async with registered(etcd, "b:2"):
                await eventually(lambda: follower.last == {"a:1", "b:2"})
            await eventually(lambda: follower.last == {"a:1"})

        await eventually(lambda: follower.last == set())


async def test_registrations_and_followers_outlive_the_death_of_etcd(servers, etcd):
    async with registered(etcd), following(etcd) as follower:
        told = len(follower.told)

        os.kill(servers.pid("etcd"), signal.SIGKILL)
        await asyncio.to_thread(servers.wait_ready, "etcd")

        await eventually(lambda: len(follower.told) > told and follower.last == {ADDRESS})
        async with registered(etcd, "b:2"):
            await eventually(lambda: follower.last == {ADDRESS, "b:2"})


async def test_registrations_and_followers_outlive_the_loss_of_all_data(servers, etcd):
    async with registered(etcd), following(etcd) as follower:
        told = len(follower.told)

        await asyncio.to_thread(servers.stop, "etcd")
        shutil.rmtree(servers.site.run_dir / "etcd" / "data")
        await asyncio.to_thread(servers.start, "etcd")

        await eventually(lambda: is_registered(etcd))
        await eventually(lambda: len(follower.told) > told and follower.last == {ADDRESS})
        async with registered(etcd, "b:2"):
            await eventually(lambda: follower.last == {ADDRESS, "b:2"})


async def test_an_instance_may_stop_while_etcd_is_away(servers, etcd):
    try:
        async with asyncio.timeout(20), registered(etcd):
            await asyncio.to_thread(servers.stop, "etcd")
    finally:
        await asyncio.to_thread(servers.start, "etcd")


async def test_a_frozen_etcd_holds_up_no_stop(servers, etcd):
    with ExitStack() as stack:
        async with asyncio.timeout(10), registered(etcd):
            stack.enter_context(frozen(servers.pid("etcd")))


@pytest.mark.parametrize("value", [b"", b"junk", b"7", b"{}", b'{"address": 7}', b"\xff"])
async def test_what_a_stranger_wrote_there_is_stepped_over(etcd, client, value):
    await client.put(key_of(etcd, "stranger"), value)
    try:
        async with following(etcd) as follower, registered(etcd):
            await eventually(lambda: follower.last == {ADDRESS})
            await client.put(key_of(etcd, "stranger"), value + b" ")
            async with registered(etcd, "b:2"):
                await eventually(lambda: follower.last == {ADDRESS, "b:2"})
    finally:
        await client.delete(key_of(etcd, "stranger"))


async def test_a_watch_that_falls_silent_is_looked_after(monkeypatch, etcd):
    monkeypatch.setattr(registry, "RESYNC_INTERVAL_S", 0.1)

    async with following(etcd) as follower:
        await eventually(lambda: len(follower.told) >= 3)

        assert follower.last == set()


async def test_a_client_finds_balances_and_forgets_real_instances(etcd):
    client = ServiceClient(
        "dousheng.UserService", user_pb2_grpc.UserServiceStub, methods=["UserInfo"]
    )
    first, second = Instance(), Instance()

    async def both_answer() -> bool:
        try:
            stub = client.stub
        except DependencyUnavailable:
            return False
        await call(stub.UserInfo, UserInfoRequest(), timeout_s=5)
        return bool(first.calls and second.calls)

    async def only_first_answers() -> bool:
        second.calls.clear()
        for _ in range(4):
            await call(client.stub.UserInfo, UserInfoRequest(), timeout_s=5)
        return not second.calls

    async with (
        serve(first) as (_, first_address),
        serve(second) as (_, second_address),
        registered(etcd, first_address),
    ):
        follow = asyncio.create_task(client.follow(etcd))
        async with registered(etcd, second_address):
            await eventually(both_answer)
        await eventually(only_first_answers)
        follow.cancel()
        await asyncio.wait({follow})


@pytest.mark.parametrize("behaviour", BAD)
@on_uvloop
async def test_registrations_and_followers_outlive_an_etcd_that_turns_bad(
    etcd, behaviour, monkeypatch
):
    monkeypatch.setattr(registry, "RESYNC_INTERVAL_S", 1)
    with bad_server_before(etcd.nodes[0].removeprefix("unix:")) as bad:
        proxied = etcd.model_copy(update={"nodes": [f"127.0.0.1:{bad.port}"]})
        async with registered(proxied), following(proxied) as follower:
            told = len(follower.told)
            bad.turn(behaviour)
            await eventually(lambda: bad.refused > 1)
            await eventually(lambda: is_forgotten(etcd))

            bad.turn(Behaviour.GOOD)

            await eventually(lambda: is_registered(etcd))
            await eventually(lambda: len(follower.told) > told and follower.last == {ADDRESS})


async def is_forgotten(etcd: EtcdSettings) -> bool:
    return not await is_registered(etcd)


async def test_a_follower_outlives_a_listener_that_fails(etcd, logged):
    told: list[frozenset[str]] = []

    def fail_once(addresses: frozenset[str]) -> None:
        told.append(addresses)
        if len(told) == 1:
            raise RuntimeError("no channel")

    task = asyncio.create_task(follow_instances(etcd, "UserService", fail_once))
    try:
        await eventually(lambda: len(told) > 1)
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert any("ERROR" in line and "RuntimeError: no channel" in line for line in logged)
