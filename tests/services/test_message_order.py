"""Whatever the order in which senders, readers and crashes take their steps, nobody misses a message or sees one twice."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from sqlalchemy import insert, select

from dal.db.engine import Database, MySQLSettings
from dal.db.messages import Draft
from dal.db.models import Message, User
from dal.participants import Participants
from dal.redis.client import open_redis
from dal.redis.keys import chat_key
from services.message.chat import Chat
from tests.chat_steps import Actor, SteppedDatabase, SteppedMarks, unless_refused
from tests.conftest import AllSettings

INSTANCES = 2
WIPE = -1  # a step at which Redis loses what it knows of the conversation


@dataclass(frozen=True)
class Send:
    from_first: bool
    instance: int
    killed_at: int | None


@dataclass
class Reader:
    """A phone that polls one side of the conversation with the last time that it has."""

    reader_id: int
    other_id: int
    seen: list[int] = field(default_factory=list)

    async def poll(self, chat: Chat, acknowledged: dict[int, int]) -> bool:
        """Poll once; whatever was acknowledged before must be there."""
        after_ms = self.seen[-1] if self.seen else 1
        expected = {ms for ms, sender in acknowledged.items() if sender == self.other_id}
        rows = await chat.list_new_from(self.other_id, self.reader_id, after_ms=after_ms)
        self.seen += [row.created_at_ms for row in rows]
        assert expected <= set(self.seen)
        return bool(rows)


@dataclass
class Scene:
    database: Database
    redis: Redis
    first_id: int
    second_id: int
    chats: list[Chat]

    @property
    def participants(self) -> Participants:
        return Participants.of(self.first_id, self.second_id)

    async def stored(self, sender_id: int) -> list[int]:
        statement = select(Message.created_at_ms).where(Message.from_user_id == sender_id)
        async with self.database.read_source() as connection:
            return sorted(await connection.scalars(statement))


def make_draft(from_id: int, to_id: int) -> Draft:
    return Draft(from_id, to_id, 1, lambda identity: f"text of {identity.created_at_ms}")


def patient(settings: MySQLSettings) -> MySQLSettings:
    # Here a commit may take as long as it likes.
    return settings.model_copy(update={"statement_timeout_s": 60.0, "pool_connections": 16})


@asynccontextmanager
async def open_scene(
    settings: AllSettings, *, clock: Sequence[int], stale_mark_s: float
) -> AsyncIterator[Scene]:
    ticks: Iterator[int] = itertools.cycle(clock)
    databases = [SteppedDatabase(patient(settings.mysql)) for _ in range(INSTANCES)]
    try:
        async with open_redis(settings.redis_actions) as redis:
            async with databases[0].write() as connection:
                names = [uuid.uuid4().hex for _ in range(2)]
                rows = [{"user_name": name, "password": "-"} for name in names]
                await connection.execute(insert(User), rows)
                found = await connection.scalars(select(User.id).where(User.user_name.in_(names)))
                first_id, second_id = sorted(found)
            chats = [
                Chat(
                    database,
                    SteppedMarks(redis, stale_mark_s=stale_mark_s),
                    clock_ms=lambda: next(ticks),
                )
                for database in databases
            ]
            yield Scene(databases[0], redis, first_id, second_id, chats)
    finally:
        for database in databases:
            await database.close()


async def play(
    scene: Scene, sends: Sequence[Send], polls: Sequence[int], order: Sequence[int]
) -> None:
    acknowledged: dict[int, int] = {}
    readers = [
        Reader(scene.first_id, scene.second_id),
        Reader(scene.second_id, scene.first_id),
    ]

    async def send(plan: Send) -> None:
        ids = (scene.first_id, scene.second_id)
        from_id, to_id = ids if plan.from_first else reversed(ids)
        sent = await unless_refused(scene.chats[plan.instance].send(make_draft(from_id, to_id)))
        if sent is not None:
            acknowledged[sent] = from_id

    async def poll(reader: Reader, times: int) -> None:
        for number in range(times):
            await reader.poll(scene.chats[number % INSTANCES], acknowledged)

    actors = [Actor(partial(send, plan), killed_at=plan.killed_at) for plan in sends]
    actors += [
        Actor(partial(poll, reader, times)) for reader, times in zip(readers, polls, strict=True)
    ]
    for choice in order:
        if choice == WIPE:
            await scene.redis.delete(chat_key(scene.participants))
        elif waiting := [actor for actor in actors if not actor.is_done]:
            await waiting[choice % len(waiting)].step()
    await asyncio.gather(*(actor.finish() for actor in actors))
    await check_end(scene, readers, acknowledged)


async def check_end(scene: Scene, readers: list[Reader], acknowledged: dict[int, int]) -> None:
    everything = []
    for reader in readers:
        while await reader.poll(scene.chats[0], acknowledged):
            pass
        stored = await scene.stored(reader.other_id)
        assert reader.seen == stored
        everything += stored
    assert len(set(everything)) == len(everything)
    assert set(acknowledged) <= set(everything)
    history = await scene.chats[1].list_history(scene.first_id, scene.second_id)
    assert [row.created_at_ms for row in history.items] == sorted(everything)


SENDS = st.lists(
    st.builds(
        Send,
        from_first=st.booleans(),
        instance=st.integers(0, INSTANCES - 1),
        killed_at=st.none() | st.integers(0, 7),
    ),
    min_size=1,
    max_size=5,
)
# The time of one instance after another: equal, jumping, going back.
CLOCKS = st.lists(st.integers(1_000, 1_006), min_size=1, max_size=6)


@given(
    sends=SENDS,
    clock=CLOCKS,
    polls=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    order=st.lists(st.integers(WIPE, 6), min_size=25, max_size=100),
    stale_mark_s=st.sampled_from([0.0, 0.02, 60.0]),
)
@hypothesis_settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_poller_gets_every_message_of_the_other_once_and_in_order(
    settings: AllSettings,
    *,
    sends: list[Send],
    clock: list[int],
    polls: tuple[int, int],
    order: list[int],
    stale_mark_s: float,
):
    async def scenario() -> None:
        async with open_scene(settings, clock=clock, stale_mark_s=stale_mark_s) as scene:
            await play(scene, sends, polls, order)

    asyncio.run(scenario())
