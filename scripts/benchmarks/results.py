"""What was measured, in a form that can be kept in a file and compared with another one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from scripts.benchmarks.ceilings import KINDS
from scripts.benchmarks.report import BenchError
from scripts.benchmarks.wrk import Outcome

FORM = 1


@dataclass(frozen=True)
class Round:
    """One round: what came of the work by each way and of each ceiling, one after the other, and what it cost, by process."""

    outcomes: Mapping[str, Outcome]
    cpu_ms: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Measured:
    """One work at one number of connections by one way; medians over the rounds.

    Attributes:
        ratios: to each ceiling, of rounds of their own: a machine that is busy for a while is so for both.
        cpu_ms, ceiling_cpu_ms: by process, for each request.
        rss_mib: by process, after the last round.
    """

    work: str
    way: str
    connections: int
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests: int
    checked: int
    errors: int
    example: str
    body_bytes: int
    ratios: Mapping[str, float] = field(default_factory=dict)
    cpu_ms: Mapping[str, float] = field(default_factory=dict)
    ceiling_cpu_ms: Mapping[str, float] = field(default_factory=dict)
    rss_mib: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from the others of a run."""
        return self.work, self.way, self.connections


def summarise(
    work: str,
    connections: int,
    body_bytes: int,
    *,
    rounds: Sequence[Round],
    rss_mib: Mapping[str, float],
) -> list[Measured]:
    """Return what the rounds say, for each way."""
    found = []
    for way in rounds[0].outcomes.keys() - set(KINDS):
        outcomes = [one.outcomes[way] for one in rounds]
        ratios = {
            kind: median(one.outcomes[way].per_s / one.outcomes[kind].per_s for one in rounds)
            for kind in KINDS
        }
        cpu_ms = _medians([one.cpu_ms[way] for one in rounds])
        found.append(
            Measured(
                work,
                way,
                connections,
                per_s=median(one.per_s for one in outcomes),
                p50_ms=median(one.p50_ms for one in outcomes),
                p95_ms=median(one.p95_ms for one in outcomes),
                p99_ms=median(one.p99_ms for one in outcomes),
                requests=sum(one.requests for one in outcomes),
                checked=sum(one.checked for one in outcomes),
                errors=sum(one.errors for one in outcomes),
                example=next((one.example for one in outcomes if one.example), ""),
                body_bytes=body_bytes,
                ratios=ratios,
                cpu_ms=cpu_ms,
                ceiling_cpu_ms=_medians([one.cpu_ms[kind] for one in rounds for kind in KINDS]),
                rss_mib=rss_mib,
            )
        )
    return sorted(found, key=lambda one: one.key)


def _medians(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = {name for one in values for name in one}
    found = {name: median(one[name] for one in values if name in one) for name in names}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def write_results(path: Path, results: Sequence[Measured], about: Mapping[str, Any]) -> None:
    """Keep what was measured, and under which conditions."""
    kept = {"form": FORM, **about, "results": [asdict(one) for one in results]}
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def read_results(path: Path) -> list[Measured]:
    """Return what an earlier run kept.

    Raises:
        BenchError: the file is not one of `--json`.
    """
    try:
        kept = json.loads(path.read_text())
        if kept["form"] != FORM:
            raise BenchError(f"{path} was written by another version of scripts/bench")
        return [Measured(**one) for one in kept["results"]]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise BenchError(f"{path} is not a file that scripts/bench --json wrote: {exc}") from exc
