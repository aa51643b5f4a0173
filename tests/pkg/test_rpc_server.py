"""The life of a service: from its settings to exit 0, in processes of their own on real servers."""

import asyncio
import json
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pkg.registry import open_etcd
from protos import user_pb2_grpc
from protos.user_pb2 import LoginRequest, UserInfoRequest
from scripts.stack.ports import find_free_port_base
from tests.eventually import eventually
from tests.programs import Program, running_module

SERVING = health_pb2.HealthCheckResponse.SERVING
GRPCURL = str(Path(sys.executable).parent / "grpcurl")


@pytest.fixture
def environment(servers) -> dict[str, str]:
    return dict(servers.environment())


def address_of(environment: Mapping[str, str]) -> str:
    return f"127.0.0.1:{environment['DOUSHENG_USER__PORT']}"


@asynccontextmanager
async def service(environment: Mapping[str, str]) -> AsyncIterator[Program]:
    """Run the service of the tests until it is registered."""
    async with running_module("tests.rpc_instance", "service", environment=environment) as program:
        await program.printed("registered")
        yield program


@pytest.fixture
async def channel(environment) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address_of(environment)) as opened:
        yield opened


async def is_registered(settings, environment: Mapping[str, str]) -> bool:
    key = f"{settings.etcd.prefix}/UserService/{address_of(environment)}"
    async with open_etcd(settings.etcd) as client:
        return await client.get(key.encode()) is not None


async def ask_as_a_container(address: str) -> asyncio.subprocess.Process:
    """Run the health check of docker-compose.yml to its end."""
    asked = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pkg.rpc.health", address), stderr=asyncio.subprocess.DEVNULL
    )
    await asked.wait()
    return asked


async def test_the_health_check_of_containers_tells_who_serves(environment) -> None:
    address = address_of(environment)

    async def is_healthy() -> bool:
        return (await ask_as_a_container(address)).returncode == 0

    async with service(environment):
        # The look has a deadline of its own, and containers are looked at again too.
        await eventually(is_healthy, within_s=60)

    assert (await ask_as_a_container(address)).returncode == 1


async def find_health(channel: grpc.aio.Channel, name: str = "") -> int | None:
    """Return the status that the health service tells, or None where nobody answers."""
    request = health_pb2.HealthCheckRequest(service=name)
    try:
        reply = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=20)
    except grpc.aio.AioRpcError:
        return None
    return int(reply.status)


async def test_a_placeholder_is_refused_by_the_name_of_its_key():
    async with running_module("services.user") as program:
        assert await program.ended() == 2

    assert "mysql.password: " in program.output
    assert "storage.secret_key: " in program.output
    assert "Traceback" not in program.output


async def test_sigterm_ends_a_service_that_still_waits_for_its_servers(environment):
    environment["DOUSHENG_MYSQL__PORT"] = "1"
    async with running_module("services.user", environment=environment) as program:
        await program.printed("waiting server=mysql")

        program.send(signal.SIGTERM)

        assert await program.ended() == 0
    assert "Traceback" not in program.output


async def test_a_running_service_is_registered_healthy_and_counts(settings, environment, channel):
    async with service(environment):
        assert await is_registered(settings, environment)
        assert await find_health(channel) == SERVING
        assert await find_health(channel, "dousheng.UserService") == SERVING
        stub = user_pb2_grpc.UserServiceStub(channel)
        await stub.UserInfo(UserInfoRequest(), timeout=30)

        url = f"http://127.0.0.1:{environment['DOUSHENG_USER__METRICS_PORT']}/metrics"
        with await asyncio.to_thread(urllib.request.urlopen, url, timeout=30) as reply:
            page = reply.read().decode()

    assert 'dousheng_rpc_served_seconds_count{code="OK",method="UserInfo"} 1.0' in page


async def test_a_full_service_refuses_the_next_call_and_is_healthy(environment, channel):
    environment["DOUSHENG_USER__MAX_CONCURRENT_CALLS"] = "1"
    async with service(environment) as program:
        stub = user_pb2_grpc.UserServiceStub(channel)
        running = asyncio.ensure_future(stub.Login(LoginRequest(username="60"), timeout=60))
        await program.printed("Login")

        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.UserInfo(UserInfoRequest(), timeout=30)

        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await find_health(channel) == SERVING
        assert "ServerReflection" in await grpcurl(address_of(environment), "list")
        running.cancel()


async def test_sigterm_lets_a_running_call_finish(settings, environment, channel):
    environment["DOUSHENG_USER__STOP_GRACE_S"] = "60"
    async with service(environment) as program:
        stub = user_pb2_grpc.UserServiceStub(channel)
        running = asyncio.ensure_future(stub.Login(LoginRequest(username="60"), timeout=90))
        await program.printed("Login")

        program.send(signal.SIGTERM)
        await program.printed("deregistered")
        assert not await is_registered(settings, environment)
        # A client that has not heard of it yet is still served.
        await stub.UserInfo(UserInfoRequest(), timeout=30)
        assert await find_health(channel) != SERVING
        await eventually(lambda: refuses_connections(environment))

        assert not running.done()
        program.send(signal.SIGHUP)
        assert (await running).user_id == program.pid
        assert await program.ended() == 0
    last = [line for line in program.lines if "service stopped" in line or "INFO" not in line]
    assert last[-3:-1] == ["background finished", "resources closed"]


async def refuses_connections(environment: Mapping[str, str]) -> bool:
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", int(environment["DOUSHENG_USER__PORT"])
        )
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_a_call_that_does_not_end_holds_up_the_stop_for_the_grace_only(environment, channel):
    environment["DOUSHENG_USER__STOP_GRACE_S"] = "0.2"
    async with service(environment) as program:
        stub = user_pb2_grpc.UserServiceStub(channel)
        endless = asyncio.ensure_future(stub.Login(LoginRequest(username="60"), timeout=60))
        await program.printed("Login")

        program.send(signal.SIGTERM)

        assert await program.ended() == 0
        with pytest.raises(grpc.aio.AioRpcError):
            await endless


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (signal.SIGUSR1, "the consumer lost its queue"),
        (signal.SIGUSR2, "ended by itself"),
    ],
    ids=["raises", "returns"],
)
async def test_a_dead_background_task_ends_the_process_and_is_told(environment, order, told):
    async with service(environment) as program:
        program.send(order)

        assert await program.ended() == 1

    assert "ERROR" in await program.printed("service died")
    assert told in program.output
    assert "resources closed" in program.output


@pytest.mark.parametrize("taken", ["PORT", "METRICS_PORT"])
async def test_a_port_that_is_taken_ends_the_second_process_and_not_the_first(
    environment, channel, taken
):
    async with service(environment):
        free = {"PORT": "METRICS_PORT", "METRICS_PORT": "PORT"}[taken]
        other = environment | {f"DOUSHENG_USER__{free}": str(find_free_port_base())}
        async with running_module("tests.rpc_instance", "service", environment=other) as second:
            assert await second.ended() == 1

        await second.printed("service died")
        assert await find_health(channel) == SERVING


async def grpcurl(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(GRPCURL, "-plaintext", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    return output.decode()


async def test_a_person_can_ask_the_real_service_with_grpcurl(environment):
    address = address_of(environment)
    async with running_module("services.user", environment=environment) as program:
        await program.printed("registered")

        listed, called, refused = (
            await grpcurl(address, "list"),
            await grpcurl(
                *("-d", '{"username": "小明🐶", "password": "secret"}', address),
                "dousheng.UserService/Register",
            ),
            await grpcurl("-d", '{"user_id": 999999999}', address, "dousheng.UserService/UserInfo"),
        )
        program.send(signal.SIGTERM)

        assert await program.ended() == 0
    assert listed.split() == [
        "dousheng.UserService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert json.loads(called)["token"].count(".") == 2
    assert "用户不存在" in refused
    assert "secret" not in program.output
