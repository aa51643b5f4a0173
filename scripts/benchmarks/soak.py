"""Whether the product stays as it is under a load that goes on: memory of every process, rate and p99, minute by minute."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from scripts.benchmarks.cast import Cast
from scripts.benchmarks.place import Place
from scripts.benchmarks.tables import render_table
from scripts.benchmarks.usage import read_usage
from scripts.benchmarks.works import list_requests
from scripts.benchmarks.wrk import Load, Outcome, Replay

WORK, CONNECTIONS = "mixed", 64
BLOCK_S = 60
# Caches fill in the first minutes; what a process has more than so much after that is told.
STEADY_SHARE, STEADY_MIB = 0.1, 16


@dataclass(frozen=True)
class Minute:
    """What a block of the soak brought, and the memory after it."""

    outcome: Outcome
    rss_mib: Mapping[str, float]


def soak(place: Place, cast: Cast, seconds: float) -> str:
    """Let an app's sessions go on for so long; return what became of the memory."""
    address = place.addresses()["direct"]
    requests = [one.to_bytes(address) for one in list_requests(WORK, cast)]
    replay = Replay(place.folder, "soak", requests)
    before = _read_rss(place)
    minutes: list[Minute] = []
    left_s = seconds
    while left_s > 0:
        load = Load(CONNECTIONS, min(BLOCK_S, left_s))
        minutes.append(Minute(replay.run(f"http://{address}/", load), _read_rss(place)))
        left_s -= load.seconds
        print(f"soak: {left_s:.0f} s left", file=sys.stderr, flush=True)
    return f"{_render_rates(minutes)}\n\n{_render_memory(before, minutes)}"


def _read_rss(place: Place) -> dict[str, float]:
    return {name: usage.rss_mib for name, usage in read_usage(place.pids()).items()}


def _render_rates(minutes: list[Minute]) -> str:
    rows = [
        (
            str(number),
            f"{one.outcome.per_s:,.0f}",
            f"{one.outcome.p99_ms:.0f}",
            str(one.outcome.errors),
        )
        for number, one in enumerate(minutes, start=1)
    ]
    return render_table(("minute", "req/s", "p99 ms", "errors"), rows)


def _render_memory(before: Mapping[str, float], minutes: list[Minute]) -> str:
    settled, last = minutes[len(minutes) // 3].rss_mib, minutes[-1].rss_mib
    rows = [
        (
            name,
            f"{before.get(name, 0):.0f}",
            f"{settled[name]:.0f}",
            f"{last.get(name, 0):.0f}",
            "steady" if is_steady(settled[name], last.get(name, 0)) else "GROWS",
        )
        for name in sorted(settled)
    ]
    return render_table(("RSS MiB", "before", "after a third", "at the end", ""), rows)


def is_steady(settled_mib: float, last_mib: float) -> bool:
    """Say whether a process has about as much as when it had warmed up."""
    return last_mib - settled_mib <= max(STEADY_SHARE * settled_mib, STEADY_MIB)
