"""Waiting a moment for what becomes of an upload, so that most authors learn it in the reply."""

import asyncio
from collections.abc import Mapping

from loguru import logger

from dal.db.engine import Database
from dal.db.upload_jobs import list_outcomes
from pkg.batching import Batcher
from pkg.errors import DeadlineExceeded, DependencyUnavailable, VideoRejected
from pkg.stopping import wait_for_stop

# Another instance may have the job; only its row tells then.
LOOK_INTERVAL_S = 0.2


class Outcomes:
    """Lets replies wait for the outcome of their uploads, a bounded number at a time."""

    def __init__(self, database: Database, *, wait_s: float, max_waiting: int) -> None:
        self._database = database
        self._wait_s = wait_s
        self._max_waiting = max_waiting
        self._waiting: dict[int, asyncio.Event] = {}
        self._rows = Batcher(self._load)

    @property
    def waiting(self) -> int:
        """How many replies wait at this moment."""
        return len(self._waiting)

    def tell(self, video_id: int) -> None:
        """Say that a video was published or has failed."""
        if (told := self._waiting.get(video_id)) is not None:
            told.set()

    async def wait(self, video_id: int, *, at_most_s: float) -> None:
        """Return when a video is published, or the outcome does not come soon.

        Raises:
            VideoRejected: it has failed.
        """
        if self.waiting >= self._max_waiting:
            return
        told = self._waiting[video_id] = asyncio.Event()
        reason = None
        try:
            async with asyncio.timeout(min(self._wait_s, at_most_s)):
                while reason is None:
                    await wait_for_stop(told, LOOK_INTERVAL_S)
                    told.clear()
                    reason = (await self._rows.get({video_id})).get(video_id)
        except TimeoutError:
            return
        except (DependencyUnavailable, DeadlineExceeded) as exc:
            # The upload is safe all the same, and that is what the reply says.
            logger.bind(video_id=video_id, cause=repr(exc)).warning("outcome not known")
            return
        finally:
            del self._waiting[video_id]
        if reason:
            raise VideoRejected(reason)

    async def _load(self, video_ids: set[int]) -> Mapping[int, str]:
        async with self._database.read_source() as connection:
            return await list_outcomes(connection, video_ids)
