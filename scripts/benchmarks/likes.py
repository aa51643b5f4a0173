"""Likes: how many are accepted, how soon they show, and how fast pending ones reach MySQL.

People of their own like videos of their own through the favorite service, over gRPC. The last part makes actions pending itself, many
more than could be accepted in that time, and waits until the service's flush has brought them to MySQL.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import delete, insert, select, update

from dal.db.absorption import lock_guard
from dal.db.engine import Database, MySQLSettings, open_database
from dal.db.models import FavoriteVideo, User, Video, VideoStatus
from dal.redis.client import RedisSettings, open_redis
from dal.redis.clock import VersionClock
from dal.redis.pending import PendingActions
from dal.registers.model import Action, ActionType, Kind
from pkg.clock import now_ms
from pkg.rpc.server import ServiceSettings
from pkg.rpc.tls import RpcSettings, make_channel
from pkg.settings import ProcessSettings
from pkg.token import TokenIssuer, TokenSettings
from protos import favorite_pb2_grpc
from protos.favorite_pb2 import FavoriteActionRequest, FavoriteListRequest
from scripts.benchmarks.load import Load, Result, measure
from scripts.operator.settings import load_settings
from services.actions.flusher import FlushingServiceSettings

TIMEOUT_S = 10
VIDEOS = 20
PROBE_TIMEOUT_S = 10.0
PENDING_PER_PERSON = 1000
CLEANING_TIMEOUT_S = 60.0
# No video has these ids: likes of them count for their fans alone.
FIRST_MADE_UP_VIDEO = 2**40


class LikesBenchSettings(ProcessSettings):
    rpc: RpcSettings
    mysql: MySQLSettings
    redis_actions: RedisSettings
    favorite: FlushingServiceSettings
    token: TokenSettings


@dataclass(frozen=True)
class LikesResult:
    """Everything that the subject measures."""

    accepted: Result
    actor_sees_s: Sequence[float]
    others_see_s: Sequence[float]
    flushed_per_s: float

    def describe(self) -> str:
        """Return what a person reads."""
        return "\n".join(
            (
                self.accepted.describe(),
                f"the actor sees it after    {_percentiles(self.actor_sees_s)}",
                f"others see it after        {_percentiles(self.others_see_s)}",
                f"pending actions to MySQL   {self.flushed_per_s:.0f}/s",
            )
        )


@dataclass(frozen=True)
class Stage:
    """The running service, and people and videos of our own."""

    stub: "favorite_pb2_grpc.FavoriteServiceAsyncStub"
    pending: PendingActions
    clock: VersionClock
    tokens: Sequence[str]
    people: Sequence[int]
    videos: Sequence[int]

    def like(self, person: int, video: int, action_type: ActionType) -> Awaitable[Any]:
        """Act as the gateway does."""
        request = FavoriteActionRequest(
            token=self.tokens[person], video_id=self.videos[video], action_type=action_type
        )
        return self.stub.FavoriteAction(request, timeout=TIMEOUT_S)


async def bench_likes(load: Load) -> LikesResult:
    """Measure the whole path."""
    async with _open_stage(load.workers) as stage:
        calls = [partial(_act, stage, person, iter_actions()) for person in range(load.workers)]
        accepted = await measure("likes accepted", load, calls)
        await _wait_until_flushed(stage)
        actor_sees_s = [
            await _measure_effect(stage, probe, _own_list) for probe in range(load.workers)
        ]
        others_see_s = [
            await _measure_effect(stage, probe, _number) for probe in range(load.workers)
        ]
        return LikesResult(accepted, actor_sees_s, others_see_s, await _measure_flush(stage))


def iter_actions() -> Callable[[], tuple[int, ActionType]]:
    """Return a function that gives the next video and what to do with it: all are liked, then all unliked, and so on."""
    step = -1

    def following() -> tuple[int, ActionType]:
        nonlocal step
        step += 1
        return step % VIDEOS, ActionType.UNDO if step // VIDEOS % 2 else ActionType.DO

    return following


async def _act(stage: Stage, person: int, following: Callable[[], tuple[int, ActionType]]) -> None:
    await stage.like(person, *following())


async def _measure_effect(
    stage: Stage, probe: int, look: Callable[[Stage, int, int], Awaitable[object]]
) -> float:
    """Return how long after the reply `look` gives another answer than before."""
    person, video = probe % len(stage.people), probe % VIDEOS
    before = await look(stage, person, video)
    listed = await _own_list(stage, person, video)
    await stage.like(person, video, ActionType.UNDO if listed else ActionType.DO)
    began = time.perf_counter()
    while await look(stage, person, video) == before:
        if time.perf_counter() - began > PROBE_TIMEOUT_S:
            break
        await asyncio.sleep(0.005)
    return time.perf_counter() - began


async def _own_list(stage: Stage, person: int, video: int) -> bool:
    """Whether the actor's own list has the video."""
    return await _is_listed(stage, person, video, viewer=person)


async def _number(stage: Stage, person: int, video: int) -> bool:
    """Whether somebody else's view of that list has the video; the count changes in the same transaction."""
    return await _is_listed(stage, person, video, viewer=(person + 1) % len(stage.people))


async def _is_listed(stage: Stage, person: int, video: int, *, viewer: int) -> bool:
    request = FavoriteListRequest(user_id=stage.people[person], token=stage.tokens[viewer])
    reply = await stage.stub.FavoriteList(request, timeout=TIMEOUT_S)
    return stage.videos[video] in {card.id for card in reply.video_list}


async def _measure_flush(stage: Stage) -> float:
    """Return how many actions per second, each of a pair of its own, the running service brings to MySQL."""
    actions = [
        Action(person, FIRST_MADE_UP_VIDEO + n, await stage.clock.draw(), ActionType.DO)
        for n in range(PENDING_PER_PERSON)
        for person in stage.people
    ]
    began = time.perf_counter()
    for begin in range(0, len(actions), 1000):
        await stage.pending.apply_actions(actions[begin : begin + 1000])
    await _wait_until_flushed(stage)
    return len(actions) / (time.perf_counter() - began)


async def _wait_until_flushed(stage: Stage) -> None:
    while (await stage.pending.measure()).pending:  # noqa: ASYNC110 - another process flushes
        await asyncio.sleep(0.02)


@asynccontextmanager
async def _open_stage(people_count: int) -> AsyncIterator[Stage]:
    settings = load_settings(LikesBenchSettings)
    issuer = TokenIssuer(settings.token)
    async with (
        open_database(settings.mysql) as database,
        open_redis(settings.redis_actions) as redis,
        make_channel(_address(settings.favorite), "favorite", settings.rpc.tls) as channel,
    ):
        people, videos = await _add_sample(database, people_count)
        stage = Stage(
            stub=favorite_pb2_grpc.FavoriteServiceStub(channel),
            pending=PendingActions(redis, Kind.FAVORITE),
            clock=VersionClock(redis),
            tokens=[issuer.issue(person) for person in people],
            people=people,
            videos=videos,
        )
        yield stage
        await _wait_until_flushed(stage)
        await _remove_sample(database, stage)


async def _add_sample(database: Database, people_count: int) -> tuple[list[int], list[int]]:
    names = [f"bench-{uuid.uuid4().hex}"[:32] for _ in range(people_count)]
    async with database.write() as connection:
        await connection.execute(
            insert(User), [{"user_name": name, "password": "-"} for name in names]
        )
        people = list(await connection.scalars(select(User.id).where(User.user_name.in_(names))))
        author = people[0]
        await connection.execute(update(User).where(User.id == author).values(work_count=VIDEOS))
        rows = [_made_up_video(author) for _ in range(VIDEOS)]
        await connection.execute(insert(Video), rows)
        titles = [row["title"] for row in rows]
        videos = list(await connection.scalars(select(Video.id).where(Video.title.in_(titles))))
    return people, videos


async def _remove_sample(database: Database, stage: Stage) -> None:
    """Delete all that was added: no other user's counter counts any of these rows."""
    async with database.write(timeout_s=CLEANING_TIMEOUT_S) as connection:
        await lock_guard(connection, Kind.FAVORITE)
        await connection.execute(
            delete(FavoriteVideo).where(FavoriteVideo.user_id.in_(stage.people))
        )
        await connection.execute(delete(Video).where(Video.id.in_(stage.videos)))
        await connection.execute(delete(User).where(User.id.in_(stage.people)))


def _made_up_video(author_id: int) -> dict[str, Any]:
    """Return a row that the favorite service takes for a video; far in the past, so that no feed begins with it."""
    key = uuid.uuid4().hex
    return {
        "author_id": author_id,
        "title": key,
        "upload_key": key,
        "play_url": key,
        "cover_url": key,
        "status": VideoStatus.PUBLISHED.value,
        "created_at_ms": now_ms(),
        "published_at_ms": uuid.uuid4().int % 10**9,
    }


def _address(settings: ServiceSettings) -> str:
    return f"{settings.host}:{settings.port}"


def _percentiles(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    p50, p99 = (ordered[round((len(ordered) - 1) * q)] * 1000 for q in (0.5, 0.99))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
