"""Confidential things are said through every door, and no log holds them. The same is looked at when a system ends (conftest.py)."""

from collections.abc import Callable

import pytest

from tests.system.app import App
from tests.system.logs import find_bugs, find_secrets, list_secrets
from tests.system.system import System


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


async def test_no_log_holds_what_was_said_through_any_door(told_everything: System) -> None:
    assert len(list_secrets(told_everything)) >= 10

    assert find_secrets(told_everything) == []


async def test_no_process_met_a_bug(told_everything: System) -> None:
    assert find_bugs(told_everything) == []
