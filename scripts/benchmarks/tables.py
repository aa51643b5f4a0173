"""Tables for a person's eyes."""

from collections.abc import Iterable, Sequence

from scripts.benchmarks.results import Measured
from scripts.benchmarks.targets import judge

# A process that takes less of a request is left out.
LEAST_CPU_MS = 0.01


def render_rates(results: Sequence[Measured]) -> str:
    """Return what was reached, beside the ceilings and the targets."""
    head = ("work", "way", "conn", "req/s", "p50 ms", "p95 ms", "p99 ms", "errors", "bytes", "of ASGI", "of FastAPI", "target")  # fmt: skip
    rows = [
        (
            one.work,
            one.way,
            str(one.connections),
            f"{one.per_s:,.0f}",
            *(f"{value:.1f}" for value in (one.p50_ms, one.p95_ms, one.p99_ms)),
            str(one.errors),
            f"{one.body_bytes:,}",
            *(f"{one.ratios.get(kind, 0):.3f}" for kind in ("asgi", "fastapi")),
            judge(one),
        )
        for one in results
    ]
    examples = [f"{one.work}, {one.connections}: {one.example}" for one in results if one.example]
    return "\n".join([render_table(head, rows), *(f"  refused: {text}" for text in examples)])


def render_costs(results: Sequence[Measured]) -> str:
    """Return CPU for each request, beside the ceiling's, and memory, by process."""
    names = sorted(
        {name for one in results for name, ms in one.cpu_ms.items() if ms >= LEAST_CPU_MS}
    )
    rows = [
        (
            one.work,
            one.way,
            str(one.connections),
            f"{one.ceiling_cpu_ms.get('fastapi', 0):.2f}",
            f"{sum(one.cpu_ms.values()):.2f}",
            *(f"{one.cpu_ms.get(name, 0):.2f} / {one.rss_mib.get(name, 0):.0f}" for name in names),
        )
        for one in results
    ]
    title = "CPU per request, ms / RSS, MiB\n"
    return title + render_table(("work", "way", "conn", "FastAPI", "all", *names), rows)


def render_comparison(results: Sequence[Measured], earlier: Sequence[Measured]) -> str:
    """Return by how much what was measured differs from an earlier run: 2.00 is twice as much."""
    known = {one.key: one for one in earlier}
    rows = [
        (
            one.work,
            one.way,
            str(one.connections),
            _ratio(one.per_s, known[one.key].per_s),
            _ratio(one.ratios.get("fastapi", 0), known[one.key].ratios.get("fastapi", 0)),
            _ratio(one.p99_ms, known[one.key].p99_ms),
            _ratio(sum(one.cpu_ms.values()), sum(known[one.key].cpu_ms.values())),
        )
        for one in results
        if one.key in known
    ]
    head = ("work", "way", "conn", "req/s", "of FastAPI", "p99", "CPU")
    return "now : then\n" + render_table(head, rows)


def _ratio(now: float, then: float) -> str:
    return f"{now / then:.2f}" if then else "-"


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows in columns, numbers to the right."""
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]

    def render(row: Sequence[str]) -> str:
        cells = (
            text.ljust(width) if number < 2 else text.rjust(width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join(render(row) for row in table)
