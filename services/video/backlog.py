"""Tells the metrics which uploads are on their way; a timed job."""

from dal.db.engine import Database
from dal.db.upload_queue import JobState, summarise_unfinished
from pkg.errors import DeadlineExceeded, DependencyUnavailable
from services.video.metrics import OLDEST_UPLOAD_JOB, UPLOAD_JOBS

INTERVAL_S = 10
LANES = {False: "light", True: "heavy"}


async def measure_upload_jobs(database: Database) -> None:
    """Measure what is neither published nor failed; every instance sees all of it."""
    try:
        async with database.read_source() as connection:
            summaries = await summarise_unfinished(connection)
    except (DependencyUnavailable, DeadlineExceeded):
        return  # The workers log it.
    found = {(summary.state, summary.is_heavy): summary for summary in summaries}
    for state in JobState:
        for is_heavy, lane in LANES.items():
            summary = found.get((state, is_heavy))
            UPLOAD_JOBS.labels(state, lane).set(summary.jobs if summary else 0)
            OLDEST_UPLOAD_JOB.labels(state, lane).set(summary.oldest_s if summary else 0)
