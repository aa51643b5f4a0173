"""Discovery on an etcd that asks who one is, and whose tokens end soon."""

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

from pkg.errors import DependencyRefused
from pkg.registry import EtcdSettings, Registration, follow_instances, open_etcd
from scripts.stack.ports import find_free_port_base
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


async def enable_login(address: str) -> None:
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
    async with httpx.AsyncClient(base_url=f"{address}/v3/auth/", trust_env=False) as client:

        async def answers() -> bool:
            health = await client.get(f"{address}/health")
            return bool(health.json()["health"] == "true")

        await eventually(answers)
        for path, body in steps:
            (await client.post(path, json=body)).raise_for_status()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[int]:
    """An etcd of its own; gives its port."""
    port, peer = find_free_ports()
    client_url, peer_url = (f"http://127.0.0.1:{number}" for number in (port, peer))
    command = [
        *(str(shutil.which("etcd")), "--name=a", f"--data-dir={tmp_path / 'data'}"),
        *(f"--listen-client-urls={client_url}", f"--advertise-client-urls={client_url}"),
        *(f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}"),
        *(f"--initial-cluster=a={peer_url}", "--heartbeat-interval=50", "--election-timeout=300"),
        *(f"--auth-token-ttl={TOKEN_LIFE_S}", "--bcrypt-cost=4", "--log-level=error"),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        yield port
        running.kill()


@pytest.fixture
async def etcd(process: int) -> EtcdSettings:
    await enable_login(f"http://127.0.0.1:{process}")
    return EtcdSettings(
        nodes=[f"127.0.0.1:{process}"],
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


async def test_a_user_writes_nothing_outside_of_the_prefix(etcd):
    async with open_etcd(etcd) as client:
        with pytest.raises(aetcd.ClientError):
            await client.put(b"other", b"x")


@pytest.mark.parametrize("half", [{"user": "x"}, {"password": "x"}])
def test_user_and_password_belong_together(half):
    values = {"nodes": ["x:1"], "timeout_s": 1, "lease_ttl_s": 1, "prefix": "p"}
    with pytest.raises(ValidationError, match="belong together"):
        EtcdSettings(**values, **half)
