"""More than one of a service: `up --scale` adds instances, which work, and takes them away, and no call fails meanwhile."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from scripts.compose_test.project import Project
from tests.eventually import eventually
from tests.system.app import App
from tests.system.publishing import wait_published

SCALED = ("--scale", "video=2", "--scale", "gateway=2")
CALLS = 40
# A person's rhythm, which no limit refuses.
SECONDS_BETWEEN = 0.5


def count_replies(project: Project, container: str) -> int:
    """Return how many requests of the feed a gateway says to have answered."""
    return sum("/douyin/feed" in line for line in project.engine.read_log(container, 2000))


async def test_a_second_video_service_and_a_second_gateway_take_their_share(
    project: Project, phone: Callable[..., App], small_video: Path
) -> None:
    await asyncio.to_thread(project.up, *SCALED)
    gateways = project.containers("gateway")
    assert (len(gateways), len(project.containers("video"))) == (2, 2)

    async def both_answer() -> bool:
        await asyncio.gather(*(phone().feed() for _ in range(CALLS)))
        return all(count_replies(project, container) for container in gateways)

    assert await eventually(both_answer, within_s=60)
    author = await phone().register()
    await asyncio.gather(*(publish(author, small_video) for _ in range(2)))


async def publish(author: App, video: Path) -> None:
    """Publish one video and wait until it is there."""
    await wait_published(author, await author.publish(video))


async def test_the_work_goes_on_with_one_of_each_again(
    project: Project, phone: Callable[..., App], small_video: Path
) -> None:
    author = await phone().register()
    stopping = asyncio.create_task(asyncio.to_thread(project.up))

    answered = 0
    while not stopping.done():
        await asyncio.sleep(SECONDS_BETWEEN)
        await author.feed()
        await author.user(author.user_id)
        answered += 1
    await stopping

    assert answered > 0
    assert len(project.containers("gateway")) == len(project.containers("video")) == 1
    await publish(author, small_video)
