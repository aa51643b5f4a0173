"""Gateway and service prove to each other who they are; whoever cannot is told nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pkg.errors import DeadlineExceeded, DependencyUnavailable, DomainError
from pkg.rpc.client import ServiceClient, call
from pkg.rpc.health import find_problem
from pkg.rpc.tls import RpcSettings, add_port, check_own_certificate
from pkg.settings import SettingsError
from pkg.tls import TlsFiles
from protos import user_pb2_grpc
from protos.user_pb2 import UserInfoRequest
from tests.bad_servers import Behaviour, bad_server_before
from tests.certificates import EXPIRED, SUBJECTS, Certificates
from tests.eventually import eventually
from tests.rpc_instance import PLAIN_TEXT, Instance, serve

pytestmark = pytest.mark.processes

if TYPE_CHECKING:
    from protos.user_pb2_grpc import UserServiceAsyncStub


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The authority that gateway and services believe."""
    return Certificates(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A stranger's authority, which gives the same names."""
    return Certificates(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="session")
def expired(
    ours: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], TlsFiles]:
    """Gives certificates of our authority that ended yesterday."""
    folder = tmp_path_factory.mktemp("expired")
    for kind in ("ca.pem", "ca-key.pem"):
        (folder / kind).write_bytes((ours.ca_file.parent / kind).read_bytes())
    ended = Certificates(folder)

    def make(name: str) -> TlsFiles:
        ended.authority.issue(SUBJECTS[name], days=EXPIRED)
        return ended.files(name)

    return make


@asynccontextmanager
async def calling(
    tls: TlsFiles | None, *addresses: str
) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Give a function that calls a user service on these addresses, as the gateway does."""
    client: ServiceClient[UserServiceAsyncStub] = ServiceClient(
        "dousheng.UserService", user_pb2_grpc.UserServiceStub, methods=("UserInfo",), tls=tls
    )
    client.use(frozenset(addresses))

    async def ask(*, timeout_s: float = 5) -> None:
        await call(client.stub.UserInfo, UserInfoRequest(), timeout_s=timeout_s)

    try:
        yield ask
    finally:
        await client.close()


def with_tls(files: TlsFiles, *, require_caller_certificate: bool = True) -> RpcSettings:
    return RpcSettings(tls=files, require_caller_certificate=require_caller_certificate)


async def test_a_gateway_calls_a_service_that_proves_its_name(ours):
    handler = Instance()
    async with (
        serve(handler, rpc=with_tls(ours.files("user"))) as (_, address),
        calling(ours.files("gateway"), address) as ask,
    ):
        await ask()

    assert handler.calls["UserInfo"] == 1


STRANGE_SERVERS: dict[str, Callable[..., RpcSettings]] = {
    "plain text": lambda ours, theirs, expired: PLAIN_TEXT,
    "another service": lambda ours, theirs, expired: with_tls(ours.files("video")),
    "another authority": lambda ours, theirs, expired: with_tls(theirs.files("user")),
    "expired": lambda ours, theirs, expired: with_tls(expired("user")),
}


@pytest.mark.parametrize("who", STRANGE_SERVERS)
async def test_whoever_takes_the_port_of_a_service_without_its_certificate_gets_no_call(
    ours, theirs, expired, who
):
    stranger, living = Instance(), Instance()
    theirs_settings = STRANGE_SERVERS[who](ours, theirs, expired)
    async with (
        serve(stranger, rpc=theirs_settings) as (_, taken),
        serve(living, rpc=with_tls(ours.files("user"))) as (_, address),
    ):
        async with calling(ours.files("gateway"), taken) as ask:
            with pytest.raises(DependencyUnavailable):
                await ask()
        async with calling(ours.files("gateway"), taken, address) as ask:
            for _ in range(5):
                await ask()

    assert stranger.calls["UserInfo"] == 0
    assert living.calls["UserInfo"] == 5


STRANGE_CALLERS: dict[str, Callable[..., TlsFiles | None]] = {
    "plain text": lambda ours, theirs, expired: None,
    "no certificate": lambda ours, theirs, expired: TlsFiles(ca_file=ours.ca_file),
    "another authority": lambda ours, theirs, expired: theirs.files(
        "gateway", ca_file=ours.ca_file
    ),
    "expired": lambda ours, theirs, expired: expired("gateway"),
    "an outside server": lambda ours, theirs, expired: ours.files("redis-cache"),
}


@pytest.mark.parametrize("who", STRANGE_CALLERS)
async def test_a_service_answers_nobody_who_cannot_prove_that_we_know_them(
    ours, theirs, expired, who
):
    handler = Instance()
    async with (
        serve(handler, rpc=with_tls(ours.files("user"))) as (_, address),
        calling(STRANGE_CALLERS[who](ours, theirs, expired), address) as ask,
    ):
        with pytest.raises(DependencyUnavailable):
            await ask()

    assert handler.calls["UserInfo"] == 0


async def test_callers_need_no_certificate_where_the_settings_say_so(ours):
    open_to_all = with_tls(ours.files("user"), require_caller_certificate=False)
    async with (
        serve(Instance(), rpc=open_to_all) as (_, address),
        calling(TlsFiles(ca_file=ours.ca_file), address) as ask,
    ):
        await ask()


async def test_a_handshake_that_hangs_ends_with_the_deadline_of_the_call(ours):
    with bad_server_before(1) as silent:
        silent.turn(Behaviour.SILENT)
        async with calling(ours.files("gateway"), f"127.0.0.1:{silent.port}") as ask:
            with pytest.raises((DeadlineExceeded, DependencyUnavailable)):
                await ask(timeout_s=0.3)


async def answers(files: TlsFiles, address: str) -> bool:
    """Tell whether a new connection gets through its handshake."""
    async with calling(files, address) as ask:
        try:
            await ask()
        except DomainError:
            return False
    return True


async def test_a_service_shows_a_renewed_certificate_without_a_restart(tmp_path, theirs):
    renewed = Certificates(tmp_path)
    renewed.authority.issue(SUBJECTS["user"], days=EXPIRED)
    async with serve(Instance(), rpc=with_tls(renewed.files("user"))) as (_, address):
        assert not await answers(renewed.files("gateway"), address)

        renewed.authority.issue(SUBJECTS["user"])

        await eventually(lambda: answers(renewed.files("gateway"), address))


async def test_a_gateway_shows_a_renewed_certificate_when_it_looks_at_the_registry_again(tmp_path):
    renewed = Certificates(tmp_path)
    renewed.authority.issue(SUBJECTS["gateway"], days=EXPIRED)
    client: ServiceClient[UserServiceAsyncStub] = ServiceClient(
        "dousheng.UserService",
        user_pb2_grpc.UserServiceStub,
        methods=("UserInfo",),
        tls=renewed.files("gateway"),
    )
    async with serve(Instance(), rpc=with_tls(renewed.files("user"))) as (_, address):
        client.use(frozenset({address}))
        assert not await client.is_serving(timeout_s=1)
        with pytest.raises(DependencyUnavailable):
            await call(client.stub.UserInfo, UserInfoRequest(), timeout_s=5)
        renewed.authority.issue(SUBJECTS["gateway"])

        client.use(frozenset({address}))

        await call(client.stub.UserInfo, UserInfoRequest(), timeout_s=5)
    await client.close()


def test_a_service_without_a_certificate_of_its_own_name_does_not_start(ours):
    check_own_certificate(with_tls(ours.files("user")), "user")

    with pytest.raises(
        SettingsError, match=r"user\.pem is for user\.dousheng, not for video\.dousheng"
    ):
        check_own_certificate(with_tls(ours.files("user")), "video")
    with pytest.raises(SettingsError, match="a service needs one"):
        check_own_certificate(with_tls(TlsFiles(ca_file=ours.ca_file)), "user")


def test_an_authority_is_needed_among_the_services(ours):
    pair = ours.pair("user")
    own = TlsFiles(certificate_file=pair.certificate, key_file=pair.key)

    with pytest.raises(ValueError, match="ca_file is missing"):
        with_tls(own)


async def test_the_health_check_of_a_container_shows_the_certificate_of_the_service(
    ours, monkeypatch
):
    files = ours.files("user")
    monkeypatch.setenv("DOUSHENG_RPC__TLS", files.model_dump_json())
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    address = f"127.0.0.1:{add_port(server, '127.0.0.1:0', with_tls(files))}"
    await server.start()
    try:
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        assert await asyncio.to_thread(find_problem, address, "user") is None
        assert "UNAVAILABLE" in str(await asyncio.to_thread(find_problem, address, "video"))
        monkeypatch.delenv("DOUSHENG_RPC__TLS")
        assert "UNAVAILABLE" in str(await asyncio.to_thread(find_problem, address))
    finally:
        await server.stop(0)
