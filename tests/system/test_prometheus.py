"""A real Prometheus asks the running system, and every rule and every panel finds what it reads."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from scripts.stack.ports import SERVICES
from scripts.stack.servers.prometheus import Prometheus
from tests.eventually import eventually
from tests.observe.prometheus import LOADED_WITHIN_S, ask, open_api, running_prometheus
from tests.observe.queries import list_queries, names_in
from tests.system.app import App
from tests.system.system import System


@pytest.fixture(scope="module")
def prometheus(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus beside the system, as the stack would start it."""
    with running_prometheus(system.stack, tmp_path_factory.mktemp("prometheus")) as running:
        yield running


@pytest.fixture
async def api(prometheus: Prometheus) -> AsyncIterator[httpx.AsyncClient]:
    """Prometheus' own API, once it has asked every process."""
    async with open_api(prometheus, processes=len(SERVICES) + 1) as client:
        yield client


async def test_every_query_of_a_rule_or_a_dashboard_can_be_asked(api: httpx.AsyncClient) -> None:
    for query in list_queries():
        await ask(api, "query", query=query)


async def test_the_running_processes_show_every_metric_that_is_read(api: httpx.AsyncClient) -> None:
    # Of a counter with labels that nothing has counted yet there is the name alone.
    shown = set(await ask(api, "metadata"))

    read = {name for query in list_queries() for name in names_in(query)}
    missing = {
        name
        for name in read
        if name not in shown
        and name.rpartition("_")[0] not in shown
        and not name.startswith(("slo:", "route:", "dependency:"))
    }
    assert missing == set()


async def test_rules_record_what_the_app_does(api: httpx.AsyncClient, author: App) -> None:
    async def recorded() -> bool:
        await author.feed()
        found = await ask(api, "query", query='slo:asked:rate5m{slo="feed"} > 0')
        return bool(found["result"])

    await eventually(recorded, within_s=LOADED_WITHIN_S)
