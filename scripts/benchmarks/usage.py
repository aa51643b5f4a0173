"""What processes cost: CPU time and memory, with their children."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """Of one process and its children: seconds of CPU since they began, and MiB of memory."""

    cpu_s: float
    rss_mib: float


def read_usage(pids: Mapping[str, int]) -> dict[str, Usage]:
    """Return the usage of each process that still lives, by name."""
    found = {}
    for name, pid in pids.items():
        family = list(_list_family(pid))
        if family:
            found[name] = Usage(
                cpu_s=sum(one.cpu_s for one in family), rss_mib=sum(one.rss_mib for one in family)
            )
    return found


def _list_family(pid: int) -> Iterator[Usage]:
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess), process.oneshot():
                times = process.cpu_times()
                yield Usage(times.user + times.system, process.memory_info().rss / MIB)


def cpu_ms_per_request(
    before: Mapping[str, Usage], after: Mapping[str, Usage], requests: int
) -> dict[str, float]:
    """Return the milliseconds of CPU for each request, by process; only of those that have done something."""
    spent = {
        name: 1000 * (usage.cpu_s - before[name].cpu_s) / max(requests, 1)
        for name, usage in after.items()
        if name in before
    }
    return {name: ms for name, ms in spent.items() if ms >= 0.001}
