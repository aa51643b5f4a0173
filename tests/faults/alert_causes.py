"""For each alert a cause that is real: what is done to the system, and what must then be told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from dal.db.engine import open_database
from dal.registers.model import Action, ActionType, Kind
from pkg.clock import now_ms
from scripts.operator.replay import publishing
from services.actions.messages import encode_action
from tests import freezing
from tests.conftest import AllSettings
from tests.faults.load import Load
from tests.faults.outages import frozen, killed, stopped
from tests.faults.people import Person
from tests.system.app import App
from tests.system.system import System

# More than a consumer that works leaves waiting.
CROWD = 3000
# More than all connections of a service.
CALLERS = 40
SPOOL_BYTES = 5_100_000_000
FILLED_BYTES = 200_000_000
# A process that gets so little of the processor runs its timers late.
STALLED_S = 0.7
# Between two turns of what goes on all the time: whoever is refused at once tries again after this.
PAUSE_S = 0.1


@dataclass(frozen=True)
class Stage:
    """The system, its people, and the disk on which uploads are spooled."""

    system: System
    settings: AllSettings
    load: Load
    spool_disk: Path

    @property
    def person(self) -> Person:
        """Somebody of the load."""
        return self.load.people[0]

    async def run_sql(self, statement: str) -> None:
        """Do something to the schema, as an operator would."""
        async with (
            open_database(self.settings.mysql) as database,
            database.read_source() as connection,
        ):
            await connection.execute(text(statement))

    async def replay(self, kind: Kind, how: str) -> None:
        """Type scripts/replay."""
        module = "scripts.operator.replay"
        await asyncio.to_thread(self.system.stack.run_module, module, kind.value, how)


@dataclass(frozen=True)
class Expected:
    """An alert and the labels that it has, among others; `instance` is the name of the process."""

    alert: str
    labels: Mapping[str, str]


def expect(alert: str, **labels: str) -> Expected:
    """Return an alert with these labels."""
    return Expected(alert, labels)


Begin = Callable[[Stage], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Cause:
    """What happens while `begin`'s block runs, and which alerts it fires."""

    begin: Begin
    fires: tuple[Expected, ...]


# Processes


@asynccontextmanager
async def a_frozen_service(stage: Stage) -> AsyncIterator[None]:
    """The only instance answers nothing."""
    async with frozen(stage.system, "user"):
        yield


@asynccontextmanager
async def a_process_without_processor(stage: Stage) -> AsyncIterator[None]:
    """A process is stopped most of the time, as on a machine that is overbooked."""
    pid = stage.system.stack.pid("message")

    async def stall() -> None:
        with freezing.frozen(pid):
            await asyncio.sleep(STALLED_S)

    async with going_on(stall):
        yield


@asynccontextmanager
async def a_full_disk(stage: Stage) -> AsyncIterator[None]:
    """Something fills the disk on which uploads are spooled."""
    filling = stage.spool_disk / "filling"
    await asyncio.to_thread(filling.write_bytes, bytes(FILLED_BYTES))
    try:
        yield
    finally:
        filling.unlink()


@asynccontextmanager
async def a_broken_schema(stage: Stage) -> AsyncIterator[None]:
    """A table that the flush needs is not there, as after a migration that was done by hand."""
    await stage.run_sql("RENAME TABLE flush_guards TO flush_guards_away")
    try:
        yield
    finally:
        await stage.run_sql("RENAME TABLE flush_guards_away TO flush_guards")


# Servers


@asynccontextmanager
async def a_frozen_database(stage: Stage) -> AsyncIterator[None]:
    """MySQL hangs while everybody writes comments."""
    async with frozen(stage.system, "mysql"), going_on(*[stage.person.comment] * CALLERS):
        yield


@asynccontextmanager
async def a_killed_broker(stage: Stage) -> AsyncIterator[None]:
    """RabbitMQ has died while people like and follow."""
    async with killed(stage.system, "rabbitmq"):
        yield


@asynccontextmanager
async def a_stopped_registry(stage: Stage) -> AsyncIterator[None]:
    """Etcd does not run."""
    async with stopped(stage.system, "etcd"):
        yield


@asynccontextmanager
async def a_frozen_storage(stage: Stage) -> AsyncIterator[None]:
    """The storage hangs while people publish: their uploads begin, and none gets through."""
    async with frozen(stage.system, "s3"):
        yield


# Work in progress


@asynccontextmanager
async def a_crowd_without_consumer(stage: Stage) -> AsyncIterator[None]:
    """More likes than a consumer takes, which waits for Redis meanwhile, because that has died."""
    user_id, video_id = stage.person.app.user_id, stage.person.town.videos[0]
    first = now_ms() * 1000
    async with killed(stage.system, "redis-actions"):
        async with publishing(stage.settings.rabbitmq, Kind.FAVORITE) as queue:
            for version in range(first, first + CROWD):
                like = Action(user_id, video_id, version, ActionType.DO)
                await queue.publish(Kind.FAVORITE, encode_action(Kind.FAVORITE, like))
        yield


@asynccontextmanager
async def a_message_that_is_no_action(stage: Stage) -> AsyncIterator[None]:
    """Somebody else writes into the queue; the operator looks at it and throws it away."""
    async with publishing(stage.settings.rabbitmq, Kind.RELATION) as queue:
        await queue.publish(Kind.RELATION, b"no action")
    yield
    await stage.replay(Kind.RELATION, "--discard")


@asynccontextmanager
async def an_action_that_mysql_refuses(stage: Stage) -> AsyncIterator[None]:
    """A row that may not be; the operator mends the schema and replays the action."""
    person = stage.person
    fan = await App(person.app.http, person.app.base_url, person.app.spoken).register()
    check = f"CHECK (user_id <> {fan.user_id})"
    await stage.run_sql(f"ALTER TABLE user_favorite_videos ADD CONSTRAINT refuses {check}")
    try:
        path, video = "douyin/favorite/action/", person.town.videos[0]
        await fan.post(path, video_id=video, action_type=1)
        yield
    finally:
        await stage.run_sql("ALTER TABLE user_favorite_videos DROP CONSTRAINT refuses")
    await stage.replay(Kind.FAVORITE, "--run")


@asynccontextmanager
async def going_on(*turns: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Take turns again and again while the block runs, all of them at the same time."""
    tasks = [asyncio.create_task(repeat(turn)) for turn in turns]
    try:
        yield
        ended = [task for task in tasks if task.done()]
        assert not ended, ended
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def repeat(turn: Callable[[], Awaitable[None]]) -> None:
    """Take a turn again and again, until cancelled."""
    while True:
        await turn()
        await asyncio.sleep(PAUSE_S)


CAUSES = {
    cause.begin.__name__.replace("_", " "): cause
    for cause in (
        Cause(
            a_frozen_service,
            (
                expect("InstanceDown", job="user", instance="user"),
                expect("ServiceDown", job="user"),
            ),
        ),
        Cause(
            a_process_without_processor,
            (expect("EventLoopBlocked", job="message", instance="message"),),
        ),
        Cause(
            a_full_disk,
            (
                expect("DiskNearlyFull", job="gateway", instance="gateway"),
                expect("DiskNearlyFull", job="video", instance="video"),
            ),
        ),
        Cause(a_broken_schema, (expect("JobFails", job="favorite", exported_job="flush"),)),
        Cause(
            a_frozen_database,
            (
                expect("DependencyFails", dependency="mysql"),
                expect("CallsWait", job="comment", dependency="mysql"),
                expect("BudgetBurnsFast", slo="feed"),
                expect("PendingOld", kind="favorite"),
            ),
        ),
        Cause(
            a_killed_broker,
            (
                expect("BrokerDisconnected", role="favorite consumer"),
                expect("BrokerDisconnected", role="relation publisher"),
                expect("BudgetBurnsFast", slo="actions"),
                expect("BudgetBurns", slo="actions"),
                expect("BudgetLeaks", slo="actions"),
            ),
        ),
        Cause(a_stopped_registry, (expect("RegistryUnreachable"),)),
        Cause(
            a_frozen_storage,
            (expect("DependencyFails", dependency="storage"), expect("UploadsOld")),
        ),
        Cause(
            a_crowd_without_consumer,
            (
                expect("DependencyFails", dependency="redis_actions"),
                expect("QueueLong", kind="favorite"),
            ),
        ),
        Cause(a_message_that_is_no_action, (expect("DeadLetters", kind="relation"),)),
        Cause(an_action_that_mysql_refuses, (expect("ActionsAside", kind="favorite"),)),
    )
}
