"""Instances come and go: they are found, shared out, left out, and lose no call on their way."""

import asyncio
import signal
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from pkg.registry import open_etcd
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.system.app import App, read_envelope, read_refusal, succeeded
from tests.system.instances import Instance, another_user_service, login_at
from tests.system.metrics import count_served
from tests.system.system import System, kill_process

Phone = Callable[[], App]
CALLERS = 4
JOINS_WITHIN_S = 60


@pytest.fixture
def second(system: System, tmp_path: Path) -> Iterator[Instance]:
    """A second instance of the user service, which may not be known yet."""
    with another_user_service(system, tmp_path) as instance:
        yield instance


async def wait_joined(viewer: App, author: App, instance: Instance) -> None:
    """Wait until the gateway sends calls to an instance."""

    async def gets_calls() -> bool:
        await viewer.user(author.user_id)
        return await count_served(viewer.http, instance.metrics_port, "UserInfo") > 0

    await eventually(gets_calls, within_s=JOINS_WITHIN_S)


async def list_registered(settings: AllSettings) -> set[str]:
    """Return the addresses of the user service's instances as etcd has them."""
    prefix = f"{settings.etcd.prefix}/UserService/"
    async with open_etcd(settings.etcd) as client:
        found = await client.get_prefix(prefix.encode())
        return {item.key.decode().removeprefix(prefix) for item in found}


async def wait_registered(settings: AllSettings, addresses: set[str]) -> None:
    """Wait until etcd has these instances of the user service and no others."""

    async def registered() -> bool:
        return await list_registered(settings) == addresses

    await eventually(registered, within_s=20)


@asynccontextmanager
async def calling(call: Callable[[], Awaitable[object]], *, callers: int = CALLERS):
    """Call again and again while the block runs; the first failure fails the test."""
    stop = asyncio.Event()
    made = [0]

    async def keep_calling() -> None:
        while not stop.is_set():
            await call()
            made[0] += 1

    async def reach(count: int) -> None:
        """Wait until so many more calls have been answered."""
        goal = made[0] + count

        async def reached() -> bool:
            return made[0] >= goal

        await eventually(reached, within_s=30)

    tasks = [asyncio.create_task(keep_calling()) for _ in range(callers)]
    try:
        yield reach
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def test_a_second_instance_joins_and_both_get_calls(
    system: System, author: App, viewer: App, second: Instance
) -> None:
    await wait_joined(viewer, author, second)
    ports = (system.port("user-metrics"), second.metrics_port)
    before = [await count_served(viewer.http, port, "UserInfo") for port in ports]

    for _ in range(20):
        await viewer.user(author.user_id)

    after = [await count_served(viewer.http, port, "UserInfo") for port in ports]
    shares = [now - then for now, then in zip(after, before, strict=True)]
    assert sum(shares) == 20
    assert min(shares) >= 5


async def test_an_instance_that_is_killed_costs_no_call_that_may_be_repeated(
    author: App, viewer: App, second: Instance
) -> None:
    await wait_joined(viewer, author, second)

    async with calling(lambda: viewer.user(author.user_id)) as reach:
        await reach(40)
        kill_process(second.process.pid)
        await reach(200)


async def test_an_instance_that_is_killed_is_forgotten(
    settings: AllSettings, author: App, viewer: App, second: Instance
) -> None:
    await wait_joined(viewer, author, second)
    assert second.address in await list_registered(settings)

    kill_process(second.process.pid)

    async def forgotten() -> bool:
        return second.address not in await list_registered(settings)

    await eventually(forgotten, within_s=30)


async def test_an_instance_that_is_stopped_costs_no_call_at_all(
    phone: Phone, author: App, viewer: App, second: Instance
) -> None:
    await wait_joined(viewer, author, second)

    async def register() -> None:
        await phone().register()

    async with (
        calling(lambda: viewer.user(author.user_id)) as reach,
        calling(register, callers=2) as reach_accounts,
    ):
        await reach(40)
        second.process.send_signal(signal.SIGTERM)
        ended = await asyncio.to_thread(second.process.wait, 30)
        await reach(40)
        await reach_accounts(4)

    assert ended == 0


async def test_failed_logins_are_counted_across_instances(
    system: System, author: App, viewer: App, second: Instance
) -> None:
    await wait_joined(viewer, author, second)
    ports = (system.port("user"), second.port)

    guesses = [await login_at(ports[n % 2], author.name, "wrong-password") for n in range(5)]
    refused = [await login_at(port, author.name, author.password) for port in ports]

    assert guesses == ["WrongCredentials"] * 5
    assert refused == ["LoginThrottled"] * 2
    reply = await viewer.send(
        "POST", "douyin/user/login/", username=author.name, password=author.password
    )
    read_refusal(reply, 429)


async def test_a_login_at_one_instance_clears_the_failures_at_the_other(
    system: System, author: App, viewer: App, second: Instance
) -> None:
    await wait_joined(viewer, author, second)

    for port, other in ((system.port("user"), second.port), (second.port, system.port("user"))):
        guesses = [await login_at(port, author.name, "wrong-password") for _ in range(4)]
        assert guesses == ["WrongCredentials"] * 4
        assert await login_at(other, author.name, author.password) == ""


async def test_an_instance_registers_again_when_its_lease_is_gone(
    system: System, settings: AllSettings, author: App, viewer: App
) -> None:
    address = f"127.0.0.1:{system.port('user')}"
    # The entry of a dead instance would be the only one left meanwhile.
    await wait_registered(settings, {address})
    async with open_etcd(settings.etcd) as client:
        key = f"{settings.etcd.prefix}/UserService/{address}".encode()
        await client.revoke_lease((await client.get(key)).lease)

    assert await viewer.user(author.user_id)
    await wait_registered(settings, {address})


async def test_after_a_restart_of_etcd_everyone_is_registered_and_newcomers_are_found(
    system: System, settings: AllSettings, author: App, viewer: App, *, tmp_path: Path
) -> None:
    async with calling(lambda: viewer.user(author.user_id), callers=1) as reach:
        system.kill("etcd")
        await asyncio.to_thread(system.stack.wait_ready, "etcd")
        await reach(20)

    with another_user_service(system, tmp_path) as newcomer:
        await wait_joined(viewer, author, newcomer)
        await wait_registered(settings, {newcomer.address, f"127.0.0.1:{system.port('user')}"})


async def test_a_service_that_is_started_before_its_servers_waits_and_then_works(
    system: System, author: App, viewer: App, tmp_path: Path
) -> None:
    needed = ("mysql", "s3", "etcd")
    for name in needed:
        await asyncio.to_thread(system.stack.stop, name)
    try:
        with another_user_service(system, tmp_path) as early:

            async def waits() -> bool:
                return "waiting" in early.log.read_text()

            await eventually(waits, within_s=30)
            assert early.process.poll() is None
            for name in reversed(needed):
                await asyncio.to_thread(system.stack.start, name)
            await wait_joined(viewer, author, early)
    finally:
        for name in needed:
            await asyncio.to_thread(system.stack.start, name)


async def test_a_gateway_that_is_started_before_etcd_says_so_and_then_works(
    system: System, viewer: App, http: httpx.AsyncClient
) -> None:
    for name in ("gateway", "etcd"):
        await asyncio.to_thread(system.stack.stop, name)
    try:
        await asyncio.to_thread(system.stack.start, "gateway")
        read_refusal(await viewer.send("GET", "douyin/feed/"), 503)
        missing = read_refusal(await viewer.send("GET", "readyz"), 503)["missing"]
        assert set(missing) == {"comment", "favorite", "message", "relation", "user", "video"}
        assert (await viewer.send("GET", "healthz")).status_code == 200
    finally:
        await asyncio.to_thread(system.stack.start, "etcd")

    async def ready() -> bool:
        return bool(succeeded(read_envelope(await viewer.send("GET", "readyz"))))

    await eventually(ready, within_s=30)
    name = uuid.uuid4().hex[:20]
    await viewer.post("douyin/user/register/", username=name, password="password-1")
    await viewer.feed()
