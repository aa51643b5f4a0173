"""Which job comes next: lanes, fair shares, and what waits.

A claim is a compare-and-set on the lease that was read: of two who want the same job one wins, and the other looks again and
then sees what the winner holds. Leases are judged by the database's clock, so that instances whose clocks differ agree.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Subquery, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.clock import DATABASE_NOW_MS
from dal.db.models import Video, VideoStatus
from dal.db.upload_jobs import ClaimedVideo, ObjectKeys

# Whoever loses as often as this leaves the jobs to the others until its next turn.
CLAIM_TRIES = 8
MOST_WAITING = 10_000
UNFINISHED = (VideoStatus.UPLOADING, VideoStatus.PROCESSING)


@dataclass(frozen=True, slots=True)
class Lane:
    """Jobs that are alike in cost, with workers of their own, shared fairly by author.

    Whose jobs run least comes first, then who used least lately, then who waits longest.
    """

    is_heavy: bool
    recent_s: int  # what was begun before that is forgiven
    max_per_author: int | None  # of the jobs that run at the same time; None: no bound


class JobState(StrEnum):
    """Where an unfinished upload stands."""

    UPLOADING = "uploading"
    WAITING = "waiting"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class JobSummary:
    """Unfinished uploads of one state and lane."""

    state: JobState
    is_heavy: bool
    jobs: int
    oldest_s: float


def light_lane() -> Lane:
    """Return the lane of what needs only a copy, and of what nobody has looked into yet."""
    return Lane(is_heavy=False, recent_s=60, max_per_author=None)


def heavy_lane(*, max_per_author: int) -> Lane:
    """Return the lane of what must be encoded again."""
    return Lane(is_heavy=True, recent_s=3600, max_per_author=max_per_author)


async def claim_job(
    connection: AsyncConnection, lane: Lane, *, lease_token: str, lease_ms: int
) -> ClaimedVideo | None:
    """Take the lane's next job that nobody holds, or whose holder's lease has ended; None if there is none."""
    return await _claim(connection, _select_next(lane), lease_token, lease_ms)


async def claim_leftover(
    connection: AsyncConnection, status: VideoStatus, *, lease_token: str, lease_ms: int
) -> ClaimedVideo | None:
    """Take an upload whose receiver died, or a failed video whose objects are to be deleted again; the oldest first.

    A failed video is a job only where `fail_video` said so.
    """
    return await _claim(connection, _select_leftover(status), lease_token, lease_ms)


async def list_waiting(connection: AsyncConnection) -> dict[int, int]:
    """Return the place of every waiting job in its lane, 1 for the next one, as far as it can be foreseen.

    An author's second job comes after everybody's first.
    """
    busy = _count_running()
    author_turn = func.row_number().over(
        partition_by=(Video.is_heavy, Video.author_id), order_by=Video.id
    )
    waiting = (
        select(
            Video.id,
            Video.is_heavy,
            (func.coalesce(busy.c.running, 0) + author_turn).label("turn"),
        )
        .outerjoin(busy, _same_author_and_lane(busy))
        .where(
            Video.status == VideoStatus.PROCESSING,
            or_(Video.lease_token == "", Video.lease_expires_at_ms < DATABASE_NOW_MS),
        )
        .subquery("waiting")
    )
    place = func.row_number().over(
        partition_by=waiting.c.is_heavy, order_by=(waiting.c.turn, waiting.c.id)
    )
    statement = select(waiting.c.id, place.label("place")).order_by("place").limit(MOST_WAITING)
    return {row.id: row.place for row in await connection.execute(statement)}


async def measure_waiting(connection: AsyncConnection) -> tuple[int, float]:
    """Return how many jobs wait for a worker, and for how many seconds the oldest of them has been on its way."""
    statement = select(func.count(), DATABASE_NOW_MS - func.min(Video.created_at_ms)).where(
        Video.status == VideoStatus.PROCESSING,
        Video.is_heavy.in_((False, True)),
        Video.lease_expires_at_ms < DATABASE_NOW_MS,
    )
    count, oldest_ms = (await connection.execute(statement)).one()
    return count, float(oldest_ms or 0) / 1000


async def count_unfinished(connection: AsyncConnection, author_id: int) -> int:
    """Return how many uploads of an author are neither published nor failed."""
    statement = select(func.count()).where(
        Video.author_id == author_id,
        # What is published lies elsewhere in the index, however much it is.
        Video.published_at_ms.is_(None),
        Video.status.in_(UNFINISHED),
    )
    return (await connection.execute(statement)).scalar_one()


async def summarise_unfinished(connection: AsyncConnection) -> list[JobSummary]:
    """Return how many uploads are neither published nor failed, and how old they are, by state and lane."""
    state = case(
        (Video.status == VideoStatus.UPLOADING, JobState.UPLOADING.value),
        (Video.lease_expires_at_ms < DATABASE_NOW_MS, JobState.WAITING.value),
        else_=JobState.HELD.value,
    ).label("state")
    age_ms = (DATABASE_NOW_MS - func.min(Video.created_at_ms)).label("age_ms")
    statement = (
        select(state, Video.is_heavy, func.count().label("jobs"), age_ms)
        .where(Video.status.in_(UNFINISHED))
        .group_by("state", Video.is_heavy)
    )
    return [
        JobSummary(JobState(row.state), row.is_heavy, row.jobs, max(0, row.age_ms) / 1000)
        for row in await connection.execute(statement)
    ]


async def delete_old_failures(
    connection: AsyncConnection, *, kept_per_author: int, kept_s: float, limit: int
) -> int:
    """Delete rows of failed uploads that are old or too many, at most `limit`; return how many.

    What still has objects to be deleted stays.
    """
    newest_first = func.row_number().over(partition_by=Video.author_id, order_by=Video.id.desc())
    failed = (
        select(Video.id, Video.created_at_ms, newest_first.label("place"))
        .where(Video.status == VideoStatus.FAILED, Video.lease_expires_at_ms == 0)
        .subquery("failed")
    )
    too_old = failed.c.created_at_ms < DATABASE_NOW_MS - int(kept_s * 1000)
    old = select(failed.c.id).where(or_(failed.c.place > kept_per_author, too_old)).limit(limit)
    ids = (await connection.scalars(old)).all()
    if not ids:
        return 0
    # By their ids: a DELETE with a subquery goes through the whole table, published videos too, and waits for their locks.
    result = await connection.execute(delete(Video).where(Video.id.in_(ids)))
    return result.rowcount


def _select_jobs() -> Select[*tuple[Any, ...]]:
    return select(
        Video.id,
        Video.author_id,
        Video.status,
        Video.attempts,
        Video.failure_reason,
        Video.upload_key,
        Video.play_url,
        Video.cover_url,
        Video.lease_token,
        Video.lease_expires_at_ms,
    )


# Idle workers ask several times a second, and making the statement takes longer than running it.
@lru_cache
def _select_leftover(status: VideoStatus) -> Select[*tuple[Any, ...]]:
    free = (
        _select_jobs()
        .where(
            Video.status == status,
            Video.is_heavy.in_((False, True)),
            Video.lease_expires_at_ms < DATABASE_NOW_MS,
        )
        .order_by(Video.lease_expires_at_ms, Video.id)
        .limit(1)
    )
    return free.where(Video.lease_expires_at_ms > 0) if status is VideoStatus.FAILED else free


@lru_cache
def _select_next(lane: Lane) -> Select[*tuple[Any, ...]]:
    busy, recent = _count_running(), _sum_recent(lane)
    running = func.coalesce(busy.c.running, 0)
    statement = (
        _select_jobs()
        .outerjoin(busy, _same_author_and_lane(busy))
        .outerjoin(recent, recent.c.author_id == Video.author_id)
        .where(
            Video.status == VideoStatus.PROCESSING,
            Video.is_heavy == lane.is_heavy,
            Video.lease_expires_at_ms < DATABASE_NOW_MS,
        )
        .order_by(running, func.coalesce(recent.c.used_s, 0), Video.id)
        .limit(1)
    )
    if lane.max_per_author is None:
        return statement
    return statement.where(running < lane.max_per_author)


def _count_running() -> Subquery:
    return (
        select(Video.author_id, Video.is_heavy, func.count().label("running"))
        .where(
            Video.status == VideoStatus.PROCESSING,
            Video.is_heavy.in_((False, True)),
            Video.lease_expires_at_ms >= DATABASE_NOW_MS,
            Video.lease_token != "",
        )
        .group_by(Video.author_id, Video.is_heavy)
        .subquery("busy")
    )


def _same_author_and_lane(busy: Subquery) -> ColumnElement[bool]:
    return (busy.c.author_id == Video.author_id) & (busy.c.is_heavy == Video.is_heavy)


def _sum_recent(lane: Lane) -> Subquery:
    """Each job counts for a second on top of its cost, which is 0 until somebody has looked into it."""
    return (
        select(Video.author_id, func.sum(Video.cost_s + 1).label("used_s"))
        .where(
            Video.is_heavy == lane.is_heavy,
            Video.started_at_ms > DATABASE_NOW_MS - lane.recent_s * 1000,
        )
        .group_by(Video.author_id)
        .subquery("recent")
    )


async def _claim(
    connection: AsyncConnection, free: Select[*tuple[Any, ...]], lease_token: str, lease_ms: int
) -> ClaimedVideo | None:
    for _ in range(CLAIM_TRIES):
        row = (await connection.execute(free)).one_or_none()
        if row is None:
            return None
        if await _take(connection, row, lease_token, lease_ms):
            return ClaimedVideo(
                id=row.id,
                author_id=row.author_id,
                status=VideoStatus(row.status),
                attempts=row.attempts + 1,
                failure_reason=row.failure_reason,
                keys=ObjectKeys(row.upload_key, row.play_url, row.cover_url),
                lease_token=lease_token,
            )
    return None


async def _take(
    connection: AsyncConnection, row: Row[Any], lease_token: str, lease_ms: int
) -> bool:
    statement = (
        update(Video)
        .where(
            Video.id == row.id,
            Video.status == row.status,
            Video.lease_token == row.lease_token,
            Video.lease_expires_at_ms == row.lease_expires_at_ms,
        )
        .values(
            lease_token=lease_token,
            lease_expires_at_ms=DATABASE_NOW_MS + lease_ms,
            attempts=row.attempts + 1,
            progress_percent=0,
            started_at_ms=DATABASE_NOW_MS,
        )
    )
    return (await connection.execute(statement)).rowcount == 1
