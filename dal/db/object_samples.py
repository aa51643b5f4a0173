"""Which objects rows name, looked at by sample: nobody walks through a whole storage to see whether it is well."""

import random
from collections.abc import Collection

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.models import Video, VideoStatus
from dal.db.upload_queue import UNFINISHED

MOST_UPLOADS = 10_000


async def sample_published(connection: AsyncConnection, limit: int) -> list[tuple[str, str]]:
    """Return the keys of a few published videos and of their covers, neighbours of a random one."""
    newest = await connection.scalar(select(func.max(Video.id))) or 1
    begin = random.randint(1, max(1, newest - limit + 1))  # noqa: S311 - spreads looks, hides nothing
    statement = (
        select(Video.play_url, Video.cover_url)
        .where(Video.id >= begin, Video.status == VideoStatus.PUBLISHED)
        .order_by(Video.id)
        .limit(limit)
    )
    return [(play, cover) for play, cover in await connection.execute(statement)]


async def find_named_objects(connection: AsyncConnection, keys: Collection[str]) -> set[str]:
    """Return which of these keys of videos and covers a row names; reads the whole table, which has no index for it."""
    statement = select(Video.play_url, Video.cover_url).where(
        or_(Video.play_url.in_(keys), Video.cover_url.in_(keys))
    )
    return {key for row in await connection.execute(statement) for key in row}


async def list_expected_uploads(connection: AsyncConnection) -> set[str]:
    """Return the keys of uploads that are on their way or still to be deleted, at most `MOST_UPLOADS`."""
    to_delete = (Video.status == VideoStatus.FAILED) & (Video.lease_expires_at_ms > 0)
    statement = (
        select(Video.upload_key)
        .where(or_(Video.status.in_(UNFINISHED), to_delete))
        .limit(MOST_UPLOADS)
    )
    return set(await connection.scalars(statement))
