"""What a benchmark counts."""

import grpc
import pytest

from scripts.benchmarks.load import Load, Result, measure

LOAD = Load(workers=2, seconds=0.05)


async def test_calls_that_fail_are_counted_and_not_timed():
    async def fail() -> None:
        metadata = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, metadata, metadata)

    result = await measure("fails", Load(workers=1, seconds=0.01), [fail])

    assert result.latencies_s == []
    assert result.failures > 0
    assert result.describe() == f"fails: every call failed ({result.failures})"


@pytest.mark.parametrize(("count", "p50", "p99"), [(1, "1.0", "1.0"), (100, "51.0", "100.0")])
def test_the_line_tells_rate_and_percentiles(count, p50, p99):
    latencies = [number / 1000 for number in range(1, count + 1)]

    line = Result("polls", LOAD, 2.0, latencies, failures=3).describe()

    assert f"p50 {p50} ms, p99 {p99} ms (2 workers, 2.0 s, 3 failed)" in line
