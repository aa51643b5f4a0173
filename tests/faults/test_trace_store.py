"""The trace store of `scripts/up --observe` as it is: Zipkin, of which the other tests know the port alone."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from scripts.stack.plain_http import NO_CERTIFICATES
from scripts.stack.seed import seed
from tests.eventually import eventually
from tests.faults.conftest import OVERRIDES
from tests.system.app import App
from tests.system.system import System, running_system

Json = dict[str, Any]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A stack with sample videos that sends every trace to its store."""
    folder = tmp_path_factory.mktemp("system")
    with running_system(folder, traces=True, overrides=OVERRIDES, report=print) as running:
        seed(running.stack.site, report=print)
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30, trust_env=False, verify=NO_CERTIFICATES) as client:
        yield client


@pytest.fixture
async def fan(system: System, http: httpx.AsyncClient) -> App:
    """Somebody who has just registered."""
    return await App(http, system.base_url, system.spoken).register()


class Store:
    """Zipkin's own API."""

    def __init__(self, http: httpx.AsyncClient, port: int) -> None:
        self._http = http
        self._base = f"http://127.0.0.1:{port}/api/v2"

    async def steps_of(self, trace_id: str) -> set[tuple[str, str]]:
        """Return which process did what in a trace; nothing while none of it is there."""
        reply = await self._http.get(f"{self._base}/trace/{trace_id}")
        return _list_steps(reply.json()) if reply.status_code == httpx.codes.OK else set()

    async def steps_linked_to(self, trace_id: str) -> set[tuple[str, str]]:
        """Return what went on elsewhere with a trace."""
        query = {"annotationQuery": f"linked.{trace_id}"}
        reply = await self._http.get(f"{self._base}/traces", params=query)
        return {step for trace in reply.json() for step in _list_steps(trace)}


def _list_steps(trace: list[Json]) -> set[tuple[str, str]]:
    return {(span["localEndpoint"]["serviceName"], span["name"]) for span in trace}


@pytest.fixture
def store(system: System, http: httpx.AsyncClient) -> Store:
    return Store(http, system.port("zipkin"))


async def watch_feed(fan: App) -> tuple[str, list[Json]]:
    """Return the id of the trace of a feed, and its videos."""
    reply = await fan.send("GET", "douyin/feed/")
    videos: list[Json] = reply.json()["video_list"]
    return reply.headers["x-trace-id"], videos


async def holds(store: Store, trace_id: str, *steps: tuple[str, str]) -> None:
    """Wait until the store has these steps of a trace."""

    async def held() -> bool:
        return await store.steps_of(trace_id) >= set(steps)

    await eventually(held)


async def test_a_like_is_found_from_the_door_to_its_row(fan: App, store: Store) -> None:
    feed_id, videos = await watch_feed(fan)
    like = {"video_id": videos[0]["id"], "action_type": 1}
    reply = await fan.send("POST", "douyin/favorite/action/", **like)
    like_id = reply.headers["x-trace-id"]

    # Zipkin writes names in small letters.
    await holds(store, feed_id, ("gateway", "get /douyin/feed/"), ("video", "select"))
    await holds(
        store,
        like_id,
        ("gateway", "post /douyin/favorite/action/"),
        ("favorite", "favoriteaction"),
        ("favorite", "publish favorite"),
    )

    async def went_on() -> bool:
        wanted = {("favorite", "process favorite"), ("favorite", "flush favorite")}
        return await store.steps_linked_to(like_id) >= wanted | {("favorite", "insert")}

    await eventually(went_on)


async def test_the_product_goes_on_without_the_store_and_sends_to_it_again(
    system: System, fan: App, store: Store
) -> None:
    system.stack.stop("zipkin")
    lost_id, videos = await watch_feed(fan)
    assert videos

    await eventually(lambda: "spans cannot be sent" in system.read_log("video"))
    system.stack.start("zipkin")

    async def is_sent_again() -> bool:
        trace_id, _ = await watch_feed(fan)
        await holds(store, trace_id, ("video", "feed"))
        return True

    await eventually(is_sent_again, within_s=60)
    assert await store.steps_of(lost_id) == set()
