"""After everything that was played before: no log of any process holds what is confidential."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.stack.ports import SERVICES
from tests.system.app import App
from tests.system.system import System

SERVERS = ("mysql", "redis-actions", "redis-cache", "rabbitmq", "etcd", "s3", "nginx")


def find_logs(system: System) -> Iterator[Path]:
    """Yield every log of the stack, rotated ones and those that servers keep themselves included."""
    for path in system.stack.site.run_dir.rglob("*"):
        if path.is_file() and ".log" in path.name and "mysql/data" not in str(path):
            yield path


@pytest.fixture
async def told_everything(system: System, phone: Callable[[], App]) -> System:
    """A system to which confidential things were said, wrong ones among them, through every door."""
    app = await phone().register()
    await app.login()
    password = "wrong-secret-password"
    wrong = await app.ask("POST", "douyin/user/login/", username=app.name, password=password)
    assert wrong["status_code"] != 0
    system.spoken.add(password)
    other = await phone().register()
    text = "这句话不该出现在任何日志里"
    system.spoken.add(text)
    to_other = {"to_user_id": other.user_id, "action_type": 1}
    await app.ask("POST", "douyin/message/action/", **to_other, content=text)
    for headers in ({"Authorization": f"Bearer {app.token}"}, {"X-Other": app.token}):
        await app.send("GET", "douyin/feed/", headers=headers, token=None)
    await app.send("GET", f"douyin/nothing/{app.token}/")
    await app.send("POST", "douyin/user/login/", data={"username": app.name, "password": password})
    return system


async def test_no_log_holds_a_token_a_password_a_title_or_a_text(told_everything: System) -> None:
    system = told_everything
    credentials = vars(system.stack.site.credentials)
    secrets = {text.encode() for text in (*system.spoken.secrets, *credentials.values())}
    assert len(secrets) >= 10
    logs = {path: path.read_bytes() for path in find_logs(system)}
    assert {path.stem for path in logs} >= {*SERVICES, *SERVERS, "gateway"}

    found = [
        f"{path.name}: {secret.decode()[:4]}…"
        for path, content in logs.items()
        for secret in secrets
        if secret in content
    ]

    assert found == []


async def test_no_process_met_a_bug(told_everything: System) -> None:
    found = [
        f"{name}: {line}"
        for name in (*SERVICES, "gateway")
        for line in told_everything.read_log(name).splitlines()
        if "unexpected error" in line or "died" in line or "never retrieved" in line
    ]

    assert found == []
