"""What an ordinary request costs while the data grow a thousandfold: flat where an index makes it so.

One request at a time, so that what is told is the cost of the request and not of a queue; the counters are compared as `scripts/recount` does.
"""

import asyncio
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from dal.db.counters import list_differences
from dal.db.engine import open_database
from scripts.benchmarks.cast import Cast, CastSettings, load_cast
from scripts.benchmarks.picture import Line, draw_lines
from scripts.benchmarks.place import Place
from scripts.benchmarks.report import BenchError
from scripts.benchmarks.tables import render_table
from scripts.benchmarks.usage import cpu_ms_per_request, read_usage
from scripts.benchmarks.works import list_requests
from scripts.benchmarks.wrk import Load, Replay
from scripts.operator.settings import with_long_statements
from scripts.population.amounts import PARTS, Amounts
from scripts.stack.seed import seed_population
from scripts.stack.site import LOCALHOST

SMALLEST = Amounts(
    seed=1, users=100, videos=100, likes=1_000, follows=500, comments=300, messages=200
)
SIZES = (1, 10, 100, 1_000)
READS = {"feed": "feed", "lists": "list page", "chat-poll": "chat poll"}
CROWD = 64
# On the service's own metrics, what a flush took and how many actions it brought to MySQL.
FLUSH = re.compile(
    r'^dousheng_(flush_seconds_sum|flushed_total)\{kind="favorite"\} (\S+)$', re.MULTILINE
)
WARM_UP_S = 2
FLUSHED_WITHIN_S = 30


@dataclass(frozen=True)
class Costs:
    """At one size, in milliseconds of CPU for a request, a thousand flushed likes, or the whole comparison of the counters."""

    size: int
    cpu_ms: dict[str, float]
    p50_ms: dict[str, float]

    def describe(self) -> tuple[str, ...]:
        """Return a row of the table."""
        cells = (
            f"{ms:.2f} ({self.p50_ms[name]:.1f})" if name in self.p50_ms else f"{ms:,.1f}"
            for name, ms in self.cpu_ms.items()
        )
        return (f"{self.size:,}x", f"{SMALLEST.videos * self.size:,}", *cells)


def measure_growth(place: Place, seconds: float, picture: Path) -> str:
    """Measure at each size, in a place that holds the smallest; draw the picture and return the table."""
    found = []
    for number, size in enumerate(SIZES):
        if number:
            seed_population(place.stack, _add(SIZES[number - 1], size, seed=size))
        found.append(_measure_size(place, size, seconds))
    names = list(found[0].cpu_ms)
    lines = [
        Line(name, [one.cpu_ms[name] / found[0].cpu_ms[name] for one in found]) for name in names
    ]
    picture.write_text(
        draw_lines("cost, as a multiple of that at 1x", [f"{size:,}x" for size in SIZES], lines)
    )
    head = ("data", "videos", *(f"{name}, ms" for name in names))
    note = "reads: ms of CPU of all processes (p50); flush: ms for 1,000 likes; recount: ms for all counters"
    return f"{note}\n{render_table(head, [one.describe() for one in found])}\n{picture}"


def _add(before: int, size: int, *, seed: int) -> Amounts:
    more = {part: getattr(SMALLEST, part) * (size - before) for part in PARTS}
    return replace(SMALLEST, seed=seed, **more)


def _measure_size(place: Place, size: int, seconds: float) -> Costs:
    cast = load_cast(place.stack)
    cpu_ms, p50_ms = {}, {}
    for work, name in READS.items():
        cpu_ms[name], p50_ms[name] = _measure_read(work, place, cast, seconds)
    cpu_ms["flush"] = _measure_flush(place, cast, seconds)
    cpu_ms["recount"] = asyncio.run(_measure_recount(place))
    return Costs(size, cpu_ms, p50_ms)


def _measure_read(work: str, place: Place, cast: Cast, seconds: float) -> tuple[float, float]:
    replay, url = _prepare(work, place, cast)
    replay.run(url, Load(1, WARM_UP_S))
    pids = place.pids()
    before = read_usage(pids)
    outcome = replay.run(url, Load(1, seconds))
    if outcome.errors:
        raise BenchError(f"{work}: {outcome.errors} errors {outcome.example}")
    spent = cpu_ms_per_request(before, read_usage(pids), outcome.requests)
    return sum(spent.values()), outcome.p50_ms


def _measure_flush(place: Place, cast: Cast, seconds: float) -> float:
    """Return how many milliseconds the flush takes for a thousand likes while many people like."""
    replay, url = _prepare("likes", place, cast)
    before_s, before = _read_flushes(place)
    replay.run(url, Load(CROWD, seconds))
    after_s, after = _read_flushes(place)
    deadline = time.monotonic() + FLUSHED_WITHIN_S
    while after == before:
        if time.monotonic() > deadline:
            raise BenchError(f"no like was flushed within {FLUSHED_WITHIN_S} s")
        time.sleep(0.1)
        after_s, after = _read_flushes(place)
    return 1_000_000 * (after_s - before_s) / (after - before)


def _read_flushes(place: Place) -> tuple[float, float]:
    port = place.stack.site.ports.of("favorite-metrics")
    reply = httpx.get(f"http://{LOCALHOST}:{port}/metrics", trust_env=False, timeout=10)
    told = {name: float(value) for name, value in FLUSH.findall(reply.text)}
    return told.get("flush_seconds_sum", 0.0), told.get("flushed_total", 0.0)


async def _measure_recount(place: Place) -> float:
    os.environ.update(place.stack.environment())
    settings = with_long_statements(CastSettings.load().mysql)
    async with open_database(settings, patient=False) as database:
        began = time.perf_counter()
        await list_differences(database)
        return 1000 * (time.perf_counter() - began)


def _prepare(work: str, place: Place, cast: Cast) -> tuple[Replay, str]:
    address = place.addresses()["direct"]
    requests = [one.to_bytes(address) for one in list_requests(work, cast)]
    return Replay(place.folder, f"growth-{work}", requests), f"http://{address}/"
