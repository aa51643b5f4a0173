"""Failed uploads are told for a while and then forgotten, so that nobody fills the table with them."""

from loguru import logger

from dal.db.engine import Database, TransactionConflict
from dal.db.upload_queue import delete_old_failures
from pkg.errors import DeadlineExceeded, DependencyUnavailable
from pkg.scheduler import Scheduler
from services.video.settings import VideoSettings

INTERVAL_S = 600
BATCH_ROWS = 1000
DAY_S = 24 * 3600


def schedule(scheduler: Scheduler, database: Database, settings: VideoSettings) -> None:
    """Let a scheduler delete the rows of failed uploads which are old or too many."""

    async def delete_all() -> None:
        try:
            while await _delete_batch(database, settings) == BATCH_ROWS:
                logger.bind(rows=BATCH_ROWS).info("old failures deleted")
        except (DependencyUnavailable, DeadlineExceeded, TransactionConflict) as exc:
            logger.bind(cause=repr(exc)).warning("old failures not deleted")

    scheduler.every(INTERVAL_S, delete_all, "delete old failures")


async def _delete_batch(database: Database, settings: VideoSettings) -> int:
    async with database.write() as connection:
        return await delete_old_failures(
            connection,
            kept_per_author=settings.max_failed_uploads_per_author,
            kept_s=settings.failed_upload_retention_days * DAY_S,
            limit=BATCH_ROWS,
        )
