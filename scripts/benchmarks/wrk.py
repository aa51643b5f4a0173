"""wrk as the load: it replays requests that were written before, so that making them costs nothing while it is measured.

Every eighth connection belongs to a second wrk that looks into the replies: a `status_code` that is not 0 comes with HTTP 200 and would pass
for a success. Looking into all of them would cost the generator as much as sending, on cores that it shares with the product.
"""

import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks.report import BenchError

SCRIPT = Path(__file__).with_name("replay.lua")
CHECKED_SHARE = 8
TIMEOUT_S = 10


@dataclass(frozen=True)
class Load:
    """How many connections ask for how long."""

    connections: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What one run of wrk brought.

    Attributes:
        errors: connections that broke, replies that came too late, HTTP statuses from 400 on, and refusals among the replies that were looked into.
        example: one of the refusals, or "".
    """

    requests: int
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    checked: int
    errors: int
    example: str


class Replay:
    """One sequence of requests, sent to one address; each run goes on where the last one stopped."""

    def __init__(self, folder: Path, name: str, requests: Sequence[bytes]) -> None:
        checked, trusted = requests[::CHECKED_SHARE], _without_every(requests, CHECKED_SHARE)
        self._slices = [
            _Slice(_write_plan(folder / f"{name}.checked", checked), "check", len(checked)),
            _Slice(_write_plan(folder / f"{name}.trusted", trusted), "trust", len(trusted)),
        ]

    def run(self, url: str, load: Load) -> Outcome:
        """Send requests for a while.

        Raises:
            BenchError: wrk failed.
        """
        looking = math.ceil(load.connections / CHECKED_SHARE)
        shares = [looking, load.connections - looking]
        runs = [
            (part, part.start(url, connections, load.seconds))
            for part, connections in zip(self._slices, shares, strict=True)
            if connections
        ]
        return merge([part.finish(process) for part, process in runs])


class _Slice:
    """A plan, and how far it is."""

    def __init__(self, path: Path, mode: str, length: int) -> None:
        self._path, self._mode, self._length = path, mode, length
        self._at = 0

    def start(self, url: str, connections: int, seconds: float) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [
                *("wrk", "--threads", "1", "--connections", str(connections)),
                *("--duration", f"{math.ceil(seconds)}s", "--timeout", f"{TIMEOUT_S}s"),
                *("--script", str(SCRIPT), url, "--", str(self._path), str(self._at), self._mode),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> dict[str, float | str]:
        try:
            said, _ = process.communicate(timeout=600)
        finally:
            process.kill()
        lines = said.strip().splitlines()
        if process.returncode != 0 or not lines or not lines[-1].startswith("{"):
            raise BenchError(f"wrk failed ({process.returncode}): {said.strip()[-500:]}")
        told: dict[str, float | str] = json.loads(lines[-1])
        self._at = (self._at + int(told["requests"])) % self._length
        return told


def _without_every(requests: Sequence[bytes], step: int) -> list[bytes]:
    return [request for number, request in enumerate(requests) if number % step]


def _write_plan(path: Path, requests: Sequence[bytes]) -> Path:
    with path.open("wb") as file:
        for request in requests:
            file.write(b"%d\n" % len(request))
            file.write(request)
    return path


def merge(told: Sequence[dict[str, float | str]]) -> Outcome:
    """Add up; the latencies are those of the run with most requests, which are nearly all of them."""
    most = max(told, key=lambda run: float(run["requests"]))
    problems = ("broken", "statuses", "late", "refused")
    return Outcome(
        requests=sum(int(run["requests"]) for run in told),
        per_s=sum(float(run["requests"]) / float(run["seconds"]) for run in told),
        p50_ms=float(most["p50_ms"]),
        p95_ms=float(most["p95_ms"]),
        p99_ms=float(most["p99_ms"]),
        checked=sum(int(run["checked"]) for run in told),
        errors=sum(int(run[name]) for run in told for name in problems),
        example="".join({str(run["example"]) for run in told} - {""}),
    )
