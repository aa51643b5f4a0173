"""Discovery on an etcd that asks who one is, over TCP with and without TLS, and whose tokens end soon."""

import asyncio
import base64
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aetcd
import httpx
import pytest
from pydantic import ValidationError

from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.registry import EtcdSettings, Registration, follow_instances, open_etcd
from pkg.tls import TlsSettings
from scripts.stack.ports import find_free_port_base
from tests.bad_servers import Behaviour, bad_server_before
from tests.certificates import Certificates
from tests.eventually import eventually

PREFIX = "kitex/registry-etcd"
USER, PASSWORD = "dousheng", "密码 'x'"
TOKEN_LIFE_S = 1
ADDRESS = "127.0.0.1:8085"

pytestmark = pytest.mark.servers


def find_free_ports() -> tuple[int, int]:
    base = find_free_port_base()
    return base, base + 1


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def enable_login(address: str, tls: TlsSettings | None) -> None:
    """Let only root and a user with rights on the prefix in."""
    rights = {"permType": "READWRITE", "key": encode(PREFIX), "range_end": encode("kitex/s")}
    steps = [
        ("user/add", {"name": "root", "password": "root"}),
        ("role/add", {"name": "root"}),
        ("user/grant", {"user": "root", "role": "root"}),
        ("user/add", {"name": USER, "password": PASSWORD}),
        ("role/add", {"name": USER}),
        ("role/grant", {"name": USER, "perm": rights}),
        ("user/grant", {"user": USER, "role": USER}),
        ("enable", {}),
    ]
    async with httpx.AsyncClient(
        base_url=f"{address}/v3/auth/",
        trust_env=False,
        verify=tls.make_context() if tls else False,
    ) as client:

        async def answers() -> bool:
            health = await client.get(f"{address}/health")
            return bool(health.json()["health"] == "true")

        await eventually(answers)
        for path, body in steps:
            (await client.post(path, json=body)).raise_for_status()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> TlsSettings | None:
    """How etcd is reached: over TLS, with a certificate of our own, unless a test says otherwise."""
    return certificates.client() if getattr(request, "param", True) else None


def tls_options(certificates: Certificates) -> list[str]:
    """Show a certificate, and ask everybody for one."""
    own = certificates.pair("etcd")
    return [
        *(f"--cert-file={own.certificate}", f"--key-file={own.key}", "--client-cert-auth"),
        f"--trusted-ca-file={certificates.ca_file}",
    ]


@pytest.fixture
def process(tmp_path: Path, tls: TlsSettings | None, certificates: Certificates) -> Iterator[int]:
    """An etcd of its own; gives its port."""
    port, peer = find_free_ports()
    client_url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    peer_url = f"http://127.0.0.1:{peer}"
    command = [
        *(str(shutil.which("etcd")), "--name=a", f"--data-dir={tmp_path / 'data'}"),
        *(f"--listen-client-urls={client_url}", f"--advertise-client-urls={client_url}"),
        *(f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}"),
        *(f"--initial-cluster=a={peer_url}", "--heartbeat-interval=50", "--election-timeout=300"),
        *(f"--auth-token-ttl={TOKEN_LIFE_S}", "--bcrypt-cost=4", "--log-level=error"),
        *(tls_options(certificates) if tls else []),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        yield port
        running.kill()


@pytest.fixture
async def etcd(process: int, tls: TlsSettings | None) -> EtcdSettings:
    await enable_login(f"{'https' if tls else 'http'}://127.0.0.1:{process}", tls)
    return EtcdSettings(
        nodes=[f"127.0.0.1:{process}"],
        tls=tls,
        user=USER,
        password=PASSWORD,
        timeout_s=2,
        lease_ttl_s=6,
        prefix=PREFIX,
    )


async def find(etcd: EtcdSettings) -> bytes | None:
    async with open_etcd(etcd) as client:
        found = await client.get(f"{PREFIX}/UserService/{ADDRESS}".encode())
    return found.value if found else None


@asynccontextmanager
async def registered(etcd: EtcdSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Registration(etcd, service="UserService", address=ADDRESS).run(stop))
        try:
            await eventually(lambda: find(etcd))
            yield
        finally:
            stop.set()


@pytest.mark.parametrize("tls", [False, True], indirect=True, ids=["plain text", "TLS"])
async def test_whoever_logs_in_registers_follows_and_leaves_also_when_the_token_has_ended(etcd):
    told: list[frozenset[str]] = []
    following = asyncio.create_task(follow_instances(etcd, "UserService", told.append))
    async with open_etcd(etcd) as idle:
        async with registered(etcd):
            await eventually(lambda: told and told[-1] == {ADDRESS})

            async def token_has_ended() -> bool:
                try:
                    await idle.get(PREFIX.encode())
                except aetcd.ClientError:
                    return True
                return False

            # Looking makes a token live on: it must be left alone for longer than it lives.
            await eventually(token_has_ended, interval_s=2.5 * TOKEN_LIFE_S)

        assert await find(etcd) is None
        await eventually(lambda: told[-1] == set())
    following.cancel()
    await asyncio.wait({following})


@pytest.mark.parametrize(
    "changes", [{"user": None, "password": None}, {"user": "stranger"}], ids=["nobody", "stranger"]
)
async def test_a_stranger_neither_registers_nor_looks(etcd, changes):
    stranger = etcd.model_copy(update=changes)
    key = f"{PREFIX}/UserService/evil:1".encode()

    with pytest.raises(DependencyRefused):
        async with open_etcd(stranger) as client:
            await client.put(key, b"{}")
    with pytest.raises(DependencyRefused):
        await find(stranger)


async def test_a_member_is_let_alone_whose_certificate_or_ours_is_not_what_it_should_be(
    etcd, certificates, tmp_path
):
    theirs = Certificates(tmp_path / "theirs")
    wrong = {
        "their authority": certificates.client(ca_file=theirs.ca_file),
        "another name": certificates.client(server_name="redis-cache"),
        "no certificate of ours": certificates.client(None),
        "a certificate of theirs": theirs.client(ca_file=certificates.ca_file),
        "plain text": None,
    }
    for tls in wrong.values():
        with pytest.raises(DependencyUnavailable):
            await find(etcd.model_copy(update={"tls": tls}))


async def test_members_that_are_down_or_hang_leave_time_for_the_one_that_answers(etcd):
    with bad_server_before(1) as silent:
        silent.turn(Behaviour.SILENT)
        members = ("127.0.0.1:1", f"127.0.0.1:{silent.port}", *etcd.nodes)
        several = etcd.model_copy(update={"nodes": members})

        async with registered(several):
            assert await find(several)


async def test_a_user_writes_nothing_outside_of_the_prefix(etcd):
    async with open_etcd(etcd) as client:
        with pytest.raises(aetcd.ClientError):
            await client.put(b"other", b"x")


@pytest.mark.parametrize("half", [{"user": "x"}, {"password": "x"}])
def test_user_and_password_belong_together(half):
    values = {"nodes": ["x:1"], "timeout_s": 1, "lease_ttl_s": 1, "prefix": "p"}
    with pytest.raises(ValidationError, match="belong together"):
        EtcdSettings(**values, **half)
