"""Counters equal their rows, as far as a sample tells; scripts/recount looks at all."""

from collections.abc import Sequence

from dal.db.counters import sample_differences
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.target import Target

SAMPLE = 50


async def look_at_counters(target: Target) -> Sequence[Finding]:
    """Every counter of a sample of rows equals what it counts."""
    differences = await sample_differences(target.database, size=SAMPLE)
    if not differences:
        return []
    first = differences[0]
    evidence = (
        f"{len(differences)} of a sample, such as {first.counter} of id {first.id}:"
        f" stored {first.stored}, rows {first.counted}"
    )
    return [
        Finding("counters", "do not equal their rows", evidence, target.place.command("recount"))
    ]
