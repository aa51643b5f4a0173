"""What the product should reach: a share of what FastAPI does with a constant body of the same size, and a time for nearly all."""

from dataclasses import dataclass

from scripts.benchmarks.results import Measured

# Targets are judged at so many connections, without nginx, which the ceilings have not either.
CONNECTIONS, WAY, CEILING = 64, "direct", "fastapi"
CROWD = 256
ALONE_FEED_P50_MS = 3.0


@dataclass(frozen=True)
class Target:
    """The least ratio to the ceiling, and the longest p99."""

    ratio: float
    p99_ms: float


_ACTION = Target(0.35, 80)
TARGETS = {
    "feed": Target(0.55, 50),
    "feed-anonymous": Target(0.65, 40),
    "user": Target(0.50, 40),
    "lists": Target(0.40, 60),
    "likes": _ACTION,
    "follows": _ACTION,
    "comments": Target(0.12, 120),
    "chat-poll": Target(0.50, 40),
    "mixed": Target(0.45, 80),
}


def judge(measured: Measured) -> str:
    """Return "met", what was missed, or "" where there is no target."""
    missed = []
    if measured.connections == CROWD and measured.errors:
        missed.append(f"{measured.errors} errors > 0")
    if measured.key == ("feed", WAY, 1) and measured.p50_ms >= ALONE_FEED_P50_MS:
        missed.append(f"p50 {measured.p50_ms:.1f} ≥ {ALONE_FEED_P50_MS:.0f} ms")
    target = TARGETS.get(measured.work)
    if target is not None and (measured.way, measured.connections) == (WAY, CONNECTIONS):
        ratio = measured.ratios.get(CEILING, 0.0)
        if ratio < target.ratio:
            missed.append(f"ratio {ratio:.2f} < {target.ratio:.2f}")
        if measured.p99_ms > target.p99_ms:
            missed.append(f"p99 {measured.p99_ms:.0f} > {target.p99_ms:.0f} ms")
    elif not missed and measured.connections != CROWD and measured.key != ("feed", WAY, 1):
        return ""
    return "missed: " + ", ".join(missed) if missed else "met"
