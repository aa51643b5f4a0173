"""Running one call over and over from many workers, and what it took."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import grpc


@dataclass(frozen=True)
class Load:
    """How many workers call for how long."""

    workers: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """What one run brought."""

    subject: str
    load: Load
    elapsed_s: float
    latencies_s: Sequence[float]  # of the calls that succeeded, ascending
    failures: int

    def describe(self) -> str:
        """Return the line that is printed."""
        if not self.latencies_s:
            return f"{self.subject}: every call failed ({self.failures})"
        rate = len(self.latencies_s) / self.elapsed_s
        p50, p99 = (1000 * self._percentile(share) for share in (0.50, 0.99))
        return (
            f"{self.subject}: {rate:,.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
            f" ({self.load.workers} workers, {self.elapsed_s:.1f} s, {self.failures} failed)"
        )

    def _percentile(self, share: float) -> float:
        return self.latencies_s[min(int(len(self.latencies_s) * share), len(self.latencies_s) - 1)]


async def measure(
    subject: str, load: Load, calls: Sequence[Callable[[], Awaitable[object]]]
) -> Result:
    """Let each worker make its call again and again; calls that fail are counted, not timed."""
    latencies: list[float] = []
    failures = 0
    began = time.perf_counter()
    deadline = began + load.seconds

    async def work(call: Callable[[], Awaitable[object]]) -> None:
        nonlocal failures
        while (start := time.perf_counter()) < deadline:
            try:
                await call()
            except grpc.aio.AioRpcError:
                failures += 1
            else:
                latencies.append(time.perf_counter() - start)

    await asyncio.gather(*(work(call) for call in calls))
    elapsed_s = time.perf_counter() - began
    return Result(subject, load, elapsed_s, sorted(latencies), failures)
