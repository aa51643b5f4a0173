"""What a newcomer types into a running system: up again, samples, status, migration."""

import asyncio
import os
import re
import subprocess
from collections.abc import Awaitable, Callable

import httpx
import pytest

from scripts.samples import SAMPLE_USERS
from scripts.stack.environment import without_settings
from scripts.stack.seed import seed
from scripts.stack.site import REPOSITORY
from tests.eventually import eventually
from tests.system.app import App
from tests.system.system import System

SAMPLE_TITLES = {"第一个视频 🎬", "渐变光影", "生命游戏", "彩条测试"}
Run = Callable[..., Awaitable[str]]


@pytest.fixture
def run(system: System) -> Run:
    """Run a script, which must succeed, and return what it prints."""

    async def run(name: str, *arguments: str) -> str:
        def wait() -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [REPOSITORY / ".venv" / "bin" / "python", "-m", name, *arguments],
                cwd=REPOSITORY,
                env=without_settings(os.environ) | dict(system.overrides),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
            )

        done = await asyncio.to_thread(wait)
        assert done.returncode == 0, done.stdout
        return str(done.stdout)

    return run


def pids_of_running(system: System) -> dict[str, int | None] | None:
    """Return the id of each process, or None while one of them does not run."""
    found = system.stack.status()
    return (
        {item.name: item.pid for item in found} if {i.state for i in found} == {"running"} else None
    )


async def test_up_on_a_running_system_changes_no_process_and_puts_the_samples_in_once(
    system: System, run: Run, viewer: App, http: httpx.AsyncClient
) -> None:
    place = ("--run-dir", str(system.stack.site.run_dir))
    before = await eventually(lambda: pids_of_running(system))

    told = await run("scripts.stack", "up", *place)
    seeded = await run("scripts.stack", "seed", *place)
    steps: list[str] = []
    seed(system.stack.site, report=steps.append)

    assert pids_of_running(system) == before
    assert "sample users and videos" in told
    assert "sample users and videos" in seeded
    assert steps == []  # Done before, and not asked for again.
    assert f"{system.base_url}douyin/" in told
    address = re.search(r"API documentation +(\S+)", told)
    assert address
    assert (await http.get(address[1])).status_code == 200
    for user in SAMPLE_USERS:
        assert f"{user.name} / {user.password}" in told
    titles = []
    for user in SAMPLE_USERS:
        identity = {"username": user.name, "password": user.password}
        reply = await viewer.post("douyin/user/login/", **identity)
        titles += [card["title"] for card in await viewer.videos_of(reply["user_id"])]
    assert sorted(titles) == sorted(SAMPLE_TITLES)


async def test_status_and_migrate_tell_that_all_is_well(system: System, run: Run) -> None:
    place = ("--run-dir", str(system.stack.site.run_dir))

    table = await run("scripts.stack", "status", *place)
    migrated = await run("scripts.stack", "migrate", *place)

    assert {line.split()[2] for line in table.splitlines()[1:]} == {"running"}
    assert migrated == "the database has the newest schema\n"
