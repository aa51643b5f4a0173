"""Whatever dies is started again by its restart policy, and the main job goes on without a hand."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.compose_test.project import Project
from tests.eventually import eventually
from tests.system.app import App, read_envelope, succeeded

SERVICES = [
    *("user", "video", "comment", "favorite", "relation", "message", "gateway", "nginx"),
    *("mysql-1", "mysql-2", "redis-actions", "redis-cache", "rabbitmq", "etcd", "storage"),
]
BACK_WITHIN_S = 120


def kill(project: Project, container: str) -> None:
    """SIGKILL the first process of a container, which ends all others; `docker kill` would count as a stop by hand."""
    os.kill(project.engine.inspect(container)["State"]["Pid"], signal.SIGKILL)


def is_back(project: Project, container: str, *, restarts: int) -> bool:
    """Say whether the container was started again and says that it is well."""
    state = project.engine.inspect(container)
    healthy = state["State"].get("Health", {}).get("Status") == "healthy"
    return bool(state["RestartCount"] > restarts and healthy)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_killed_container_comes_back_and_the_work_goes_on(
    project: Project, phone: Callable[..., App], small_video: Path, service: str
) -> None:
    author, fan = await phone().register(), await phone().register()
    video_id = await author.publish(small_video)
    (container,) = project.containers(service)
    restarts = project.engine.inspect(container)["RestartCount"]

    kill(project, container)

    def back() -> bool:
        return is_back(project, container, restarts=restarts)

    await eventually(lambda: asyncio.to_thread(back), within_s=BACK_WITHIN_S, interval_s=0.5)

    async def everything_works() -> bool:
        reply = await fan.send("POST", "douyin/favorite/action/", video_id=video_id, action_type=1)
        succeeded(read_envelope(reply))
        await author.publish(small_video)
        await phone().register()
        (liked,) = (await fan.get("douyin/favorite/list/", user_id=fan.user_id))["video_list"]
        assert liked["id"] == video_id
        assert (await fan.load(liked["play_url"], Range="bytes=0-9")).status_code == 206
        return True

    assert await eventually(everything_works, within_s=BACK_WITHIN_S, interval_s=0.5)
