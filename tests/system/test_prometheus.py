"""A real Prometheus asks the running system, and every rule and every panel finds what it reads."""

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.stack.inventory import make_observers, make_product
from scripts.stack.ports import SERVICES
from scripts.stack.processes import stop_processes
from scripts.stack.servers.prometheus import Prometheus
from tests.eventually import eventually
from tests.observe.queries import list_queries, names_in
from tests.system.app import App
from tests.system.system import System

LOADED_WITHIN_S = 90


class LocalPrometheus(Prometheus):
    """The one of `scripts/up --observe`, in a folder of its own."""

    place: Path

    @property
    def directory(self) -> Path:
        """A folder of the test."""
        return self.place


@pytest.fixture(scope="module")
def prometheus(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus beside the system, as the stack would start it."""
    stack = system.stack
    product = make_product(
        stack.site, stack.environment(), dict.fromkeys((*SERVICES, "gateway"), 1)
    )
    [server] = make_observers(stack.site, product)
    assert isinstance(server, Prometheus)
    local = LocalPrometheus(stack.site, server.processes)
    local.place = tmp_path_factory.mktemp("prometheus")
    for name, content in local.files().items():
        (local.place / name).write_text(content)
    with (local.place / "log").open("wb") as log:
        process = subprocess.Popen(local.command, stdout=log, stderr=log)
        try:
            yield local
        finally:
            stop_processes([process.pid], timeout_s=20)
            process.wait(timeout=20)


@pytest.fixture
async def api(prometheus: Prometheus) -> AsyncIterator[httpx.AsyncClient]:
    """Prometheus' own API, once it has asked every process."""
    base_url = f"http://{prometheus.address}/api/v1/"
    async with httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False) as client:

        async def all_are_asked() -> bool:
            try:
                ready = await client.get(f"http://{prometheus.address}/-/ready")
            except httpx.TransportError:
                return False
            if ready.status_code != httpx.codes.OK:
                return False
            found = await ask(client, "query", query="sum(up)")
            return bool(found["result"]) and found["result"][0]["value"][1] == str(
                len(SERVICES) + 1
            )

        await eventually(all_are_asked, within_s=LOADED_WITHIN_S)
        yield client


async def ask(client: httpx.AsyncClient, path: str, **parameters: str) -> Any:
    """Return the data of one answer, which is a success."""
    reply = await client.get(path, params=parameters)
    answer = json.loads(reply.text)
    assert answer["status"] == "success", (parameters, answer)
    return answer["data"]


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
