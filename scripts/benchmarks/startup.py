"""How long each process of the product takes until it works, how much memory it begins with, and how soon the first page comes."""

import time
from dataclasses import dataclass
from statistics import median

import httpx

from scripts.benchmarks.cast import Cast
from scripts.benchmarks.place import Place
from scripts.benchmarks.report import BenchError
from scripts.benchmarks.tables import render_table
from scripts.benchmarks.usage import read_usage
from scripts.stack.ports import SERVICES

FIRST_PAGE_MS = 300


@dataclass(frozen=True)
class Startup:
    """What one start of everything brought; seconds and MiB by process."""

    ready_s: dict[str, float]
    rss_mib: dict[str, float]
    first_page_ms: float
    second_page_ms: float


def measure_startup(place: Place, cast: Cast, rounds: int) -> str:
    """Stop and start the product's processes one by one so many times; return the table of medians."""
    starts = [_start_anew(place, cast.token(cast.viewers[0])) for _ in range(rounds)]
    rows = [
        (
            name,
            f"{median(one.ready_s[name] for one in starts):.2f}",
            f"{median(one.rss_mib[name] for one in starts):.0f}",
        )
        for name in starts[0].ready_s
    ]
    first = median(one.first_page_ms for one in starts)
    second = median(one.second_page_ms for one in starts)
    verdict = "met" if first < FIRST_PAGE_MS else f"missed: {FIRST_PAGE_MS} ms"
    table = render_table(("process", "ready after s", "RSS MiB"), rows)
    return f"{table}\nfirst page {first:.0f} ms ({verdict}), second {second:.0f} ms"


def _start_anew(place: Place, token: str) -> Startup:
    names = [*SERVICES, "gateway"]
    for name in reversed(names):
        place.stack.stop(name)
    ready_s = {}
    for name in names:
        began = time.perf_counter()
        place.stack.start(name)
        ready_s[name] = time.perf_counter() - began
    usage = read_usage(place.pids())
    url = f"http://{place.addresses()['direct']}/douyin/feed/"
    with httpx.Client(trust_env=False, timeout=10) as client:
        first, second = (_time_page(client, url, token) for _ in range(2))
    return Startup(ready_s, {name: usage[name].rss_mib for name in names}, first, second)


def _time_page(client: httpx.Client, url: str, token: str) -> float:
    began = time.perf_counter()
    reply = client.get(url, params={"token": token})
    if reply.status_code != 200 or reply.json()["status_code"] != 0:
        raise BenchError(f"the first page was answered with {reply.status_code} {reply.text[:200]}")
    return 1000 * (time.perf_counter() - began)
