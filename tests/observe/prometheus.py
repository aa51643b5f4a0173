"""A real Prometheus of a test beside a stack, and its API."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from scripts.stack import Stack
from scripts.stack.inventory import PRODUCT, make_observers, make_product
from scripts.stack.plain_http import NO_CERTIFICATES
from scripts.stack.processes import stop_processes
from scripts.stack.servers.prometheus import Prometheus
from tests.eventually import eventually

LOADED_WITHIN_S = 90
STOPS_WITHIN_S = 20

# From a file's name and content to another content.
Change = Callable[[str, str], str]


class LocalPrometheus(Prometheus):
    """The one of `scripts/up --observe`, in a folder of its own."""

    place: Path

    @property
    def directory(self) -> Path:
        """A folder of the test."""
        return self.place


def keep(_name: str, content: str) -> str:
    """Return a file as it is."""
    return content


@contextmanager
def running_prometheus(stack: Stack, place: Path, *, change: Change = keep) -> Iterator[Prometheus]:
    """Run Prometheus as the stack would start it, in a folder of its own, its files changed before."""
    product = make_product(stack.site, stack.environment(), dict.fromkeys(PRODUCT, stack.workers))
    (server,) = (
        item for item in make_observers(stack.site, product) if isinstance(item, Prometheus)
    )
    local = LocalPrometheus(stack.site, server.processes)
    local.place = place
    for name, content in local.files().items():
        (place / name).write_text(change(name, content))
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(local.command, stdout=log, stderr=log)
        try:
            yield local
        finally:
            stop_processes([process.pid], timeout_s=STOPS_WITHIN_S)
            process.wait(timeout=STOPS_WITHIN_S)


@asynccontextmanager
async def open_api(prometheus: Prometheus, *, processes: int) -> AsyncIterator[httpx.AsyncClient]:
    """Give Prometheus' own API, once it has asked so many processes and each has answered."""
    base_url = f"http://{prometheus.address}/api/v1/"
    async with httpx.AsyncClient(
        base_url=base_url, timeout=30, trust_env=False, verify=NO_CERTIFICATES
    ) as client:

        async def all_have_answered() -> bool:
            ready = await client.get(f"http://{prometheus.address}/-/ready")
            if ready.status_code != httpx.codes.OK:
                return False
            found = (await ask(client, "query", query="sum(up)"))["result"]
            return bool(found) and found[0]["value"][1] == str(processes)

        await eventually(all_have_answered, within_s=LOADED_WITHIN_S)
        yield client


async def ask(client: httpx.AsyncClient, path: str, **parameters: str) -> Any:
    """Return the data of one answer, which is a success."""
    reply = await client.get(path, params=parameters)
    answer = json.loads(reply.text)
    assert answer["status"] == "success", (parameters, answer)
    return answer["data"]
