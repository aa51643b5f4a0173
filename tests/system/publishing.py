"""What becomes of uploads: waiting for it, and looking at what they leave behind."""

import asyncio
from pathlib import Path

import httpx
from sqlalchemy import func, select

from dal.db.engine import Database
from dal.db.models import Video
from tests.eventually import eventually
from tests.stored_objects import StoredObjects
from tests.system.app import App, Json
from tests.system.system import System

PUBLISHED_WITHIN_S = 60


async def begin_publish(app: App, path: Path) -> tuple[int, "asyncio.Task[httpx.Response]"]:
    """Upload a file; return the video's id as soon as the upload is told, and the reply that may still wait."""
    replying = asyncio.create_task(app.send_video(path))

    async def told() -> Json | None:
        return next(iter(await app.publications()), None)

    entry = await eventually(told, within_s=PUBLISHED_WITHIN_S, interval_s=0.02)
    return entry["video_id"], replying


async def wait_published(app: App, video_id: int) -> Json:
    """Wait until an upload is published, and return its card as its author sees it."""

    async def settled() -> Json | None:
        entry = await app.publication(video_id)
        assert entry["status"] != "failed", entry
        return entry if entry["status"] == "published" else None

    await eventually(settled, within_s=PUBLISHED_WITHIN_S)
    (card,) = [card for card in await app.videos_of(app.user_id) if card["id"] == video_id]
    return card


async def wait_failed(app: App, video_id: int, *, within_s: float = 60) -> Json:
    """Wait until an upload is told as failed; return how it is told."""

    async def failed() -> Json | None:
        entry = await app.publication(video_id)
        assert entry["status"] != "published", entry
        return entry if entry["status"] == "failed" else None

    return await eventually(failed, within_s=within_s)


async def count_uploads(database: Database) -> int:
    """Return how many uploads were ever written down."""
    async with database.read_source() as connection:
        found = await connection.execute(select(func.count()).select_from(Video))
        return int(found.scalar_one())


class Remains:
    """Rows, objects and spooled files, to be compared with what there was."""

    def __init__(self, system: System, database: Database, stored: StoredObjects) -> None:
        self._system = system
        self._database = database
        self._stored = stored
        self._rows = 0
        self._objects: set[str] = set()

    async def remember(self) -> None:
        """Look at what there is now."""
        self._rows = await count_uploads(self._database)
        self._objects = await self._system.list_objects(self._stored)

    async def check(self, *, rows: int = 0, objects: int = 0) -> None:
        """Check that nothing was added but `rows` rows and `objects` objects."""
        assert await count_uploads(self._database) == self._rows + rows
        present = await self._system.list_objects(self._stored)
        assert self._objects <= present
        assert len(present - self._objects) == objects, present - self._objects
        assert self._system.list_spooled() == []

    async def wait_clean(self, *, rows: int = 0) -> None:
        """Wait until `check` holds; who receives needs a moment to see that nobody sends any more."""

        async def clean() -> bool:
            await self.check(rows=rows)
            return True

        await eventually(clean, within_s=30)
