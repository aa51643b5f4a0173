"""An etcd that asks nobody who they are becomes one that does."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.registry import EtcdSettings, open_etcd
from scripts.operator.etcd_login import insist, require_login
from scripts.stack.ports import find_free_port_base
from tests.eventually import eventually

PREFIX = "kitex/registry-etcd"
ROOT_PASSWORD = "root-secret"

pytestmark = pytest.mark.servers


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """An etcd of its own that lets everybody in."""
    found = find_free_port_base()
    client, peer = (f"http://127.0.0.1:{found + offset}" for offset in (0, 1))
    command = [
        *(str(shutil.which("etcd")), "--name=a", f"--data-dir={tmp_path / 'data'}"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
        *(f"--initial-cluster=a={peer}", "--heartbeat-interval=50", "--election-timeout=300"),
        *("--bcrypt-cost=4", "--log-level=error"),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        yield found
        running.kill()


def settings_of(port: int, user: str | None, password: str | None) -> EtcdSettings:
    return EtcdSettings(
        nodes=[f"127.0.0.1:{port}"],
        user=user,
        password=password,
        timeout_s=2,
        lease_ttl_s=6,
        prefix=PREFIX,
    )


@pytest.fixture
async def services(port: int) -> EtcdSettings:
    """The settings of the services, once etcd answers."""
    settings = settings_of(port, "dousheng", "first")

    async def answers() -> bool:
        try:
            async with open_etcd(settings_of(port, None, None)):
                return True
        except DependencyUnavailable:
            return False

    await eventually(answers)
    return settings


async def put(settings: EtcdSettings, key: str) -> None:
    async with open_etcd(settings) as client:
        await client.put(key.encode(), b"value")


async def test_the_services_get_the_registry_and_strangers_nothing(
    port: int, services: EtcdSettings
) -> None:
    await require_login(services, ROOT_PASSWORD)

    await put(services, f"{PREFIX}/UserService/a:1")
    with pytest.raises(Exception, match="permission denied"):
        await put(services, "elsewhere")
    with pytest.raises(DependencyUnavailable):
        await put(settings_of(port, None, None), f"{PREFIX}/UserService/a:1")


async def test_running_it_again_sets_the_password_of_the_settings(
    port: int, services: EtcdSettings
) -> None:
    await require_login(services, ROOT_PASSWORD)
    changed = settings_of(port, "dousheng", "second")

    await require_login(changed, ROOT_PASSWORD)

    await put(changed, f"{PREFIX}/UserService/a:1")
    with pytest.raises(DependencyRefused):
        await put(services, f"{PREFIX}/UserService/a:1")


async def test_another_root_password_is_refused(services: EtcdSettings) -> None:
    await require_login(services, ROOT_PASSWORD)

    with pytest.raises(DependencyRefused):
        await require_login(services, "guessed")


async def test_an_etcd_that_is_being_started_is_waited_for(port: int) -> None:
    settings = settings_of(port, "dousheng", "first")

    assert await insist(settings, ROOT_PASSWORD, for_s=30) == 0
    await put(settings, f"{PREFIX}/UserService/a")


async def test_an_etcd_that_does_not_come_is_told() -> None:
    settings = settings_of(find_free_port_base(), "dousheng", "first")

    with pytest.raises(DependencyUnavailable):
        await insist(settings, ROOT_PASSWORD, for_s=0)
