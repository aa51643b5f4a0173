"""Uploads on their way: a worker takes each before its author loses patience."""

from collections.abc import Sequence

from dal.db.upload_queue import measure_waiting
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.target import Target

OLDEST_S = 600.0


async def look_at_uploads(target: Target) -> Sequence[Finding]:
    """No upload has been waiting for long."""
    async with target.database.read_source() as connection:
        waiting, oldest_s = await measure_waiting(connection)
    if oldest_s <= OLDEST_S:
        return []
    evidence = f"{waiting} wait, the oldest since {oldest_s / 60:.0f} min"
    command = target.place.look_into("video", target.url or "")
    return [Finding("uploads", "are not published", evidence, command)]
