"""The whole write path on real servers: whatever is delivered, flushed, repeated and stalled, the last action of a pair counts."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from dal.db.absorption import absorb_actions
from dal.redis.clock import ActionClock
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from dal.registers.lists import ActionLists
from dal.registers.model import Action, ActionType, Kind
from pkg.mq.consumer import Consumer, DeadLetter, Delivery
from pkg.mq.publisher import Publisher
from pkg.paging import FROM_THE_START
from services.actions.consumer import ActionRecorder
from services.actions.flusher import Flusher
from services.actions.intake import ActionIntake
from services.actions.messages import encode_action
from tests.action_world import World, open_world
from tests.eventually import PATIENCE_S, eventually

T = TypeVar("T")
PEOPLE, VIDEOS = 3, 1


class CountingRecorder(ActionRecorder):
    """The product's handler, and how many messages it has handled."""

    handled = 0

    async def __call__(self, batch: Sequence[Delivery]) -> list[DeadLetter]:
        dead = await super().__call__(batch)
        self.handled += len(batch)
        return dead


class Path:
    """The parts of both services, in one process, on the real servers."""

    def __init__(self, world: World, rabbitmq: Any) -> None:
        self.world = world
        self.publisher = Publisher(rabbitmq, [kind.value for kind in Kind], name="test")
        self.clock = ActionClock(world.redis)
        self.intakes = {kind: ActionIntake(kind, self.clock, self.publisher) for kind in Kind}
        self.recorders = {kind: CountingRecorder(world.store(kind)) for kind in Kind}
        self.consumers = [
            Consumer(
                rabbitmq, kind.value, self.recorders[kind], dead_letters=self.publisher, name="test"
            )
            for kind in Kind
        ]
        self.flushers = {
            kind: Flusher(world.database, world.store(kind), batch_size=1000) for kind in Kind
        }
        self.published = dict.fromkeys(Kind, 0)

    async def accept(self, kind: Kind, user_id: int, target_id: int, action: ActionType) -> None:
        await self.intakes[kind].accept(
            user_id=user_id, target_id=target_id, action_type=int(action)
        )
        self.published[kind] += 1

    async def publish(self, kind: Kind, body: bytes) -> None:
        await self.publisher.publish(kind.value, body)
        self.published[kind] += 1

    async def consumed(self) -> None:
        """Wait until every message that was published has been handled."""

        await eventually(
            lambda: all(self.recorders[kind].handled >= self.published[kind] for kind in Kind)
        )


@asynccontextmanager
async def open_path(all_settings: Any) -> AsyncIterator[Path]:
    async with (
        open_world(all_settings.mysql, all_settings.redis_actions) as world,
        asyncio.TaskGroup() as tasks,
    ):
        path = Path(world, all_settings.rabbitmq)
        stop = asyncio.Event()
        tasks.create_task(path.publisher.run(stop))
        for consumer in path.consumers:
            tasks.create_task(consumer.run(stop))

        await path.publisher.wait_connected(timeout_s=PATIENCE_S)
        try:
            yield path
        finally:
            stop.set()


def make_machine(run: Any, path: Path) -> type[RuleBasedStateMachine]:
    """Return the state machine on these servers; `run` runs a coroutine on their loop."""

    class WritePathMachine(RuleBasedStateMachine):
        """People like, unlike, follow and unfollow; the model is the last action of each pair."""

        @initialize()
        def begin(self) -> None:
            self.people = run(path.world.add_users(PEOPLE))
            self.videos = run(path.world.add_videos(self.people[0], VIDEOS))
            self.last: dict[tuple[Kind, int, int], ActionType] = {}
            self.order: list[tuple[Kind, int, int]] = []
            self.late: list[tuple[Kind, bytes]] = []
            self.sent: list[tuple[Kind, bytes]] = []
            self.stalled: list[tuple[Kind, list[Action]]] = []

        def _remember(self, pair: tuple[Kind, int, int], action: ActionType) -> None:
            self.last[pair] = action
            self.order = [*(other for other in self.order if other != pair), pair]

        def _pair(self, data: st.DataObject) -> tuple[Kind, int, int]:
            kind = data.draw(st.sampled_from(Kind))
            user = data.draw(st.sampled_from(self.people))
            others = [person for person in self.people if person != user]
            target = data.draw(st.sampled_from(self.videos if kind is Kind.FAVORITE else others))
            return kind, user, target

        @rule(data=st.data(), count=st.integers(1, 6))
        def act(self, data: st.DataObject, count: int) -> None:
            for _ in range(count):
                pair, action = self._pair(data), data.draw(st.sampled_from(ActionType))
                run(path.accept(*pair, action))
                self._remember(pair, action)

        @rule(data=st.data(), action=st.sampled_from(ActionType))
        def act_but_arrive_late(self, data: st.DataObject, action: ActionType) -> None:
            kind, user, target = pair = self._pair(data)
            version = run(path.clock.draw())
            body = encode_action(kind, Action(user, target, version, action))
            self.late.append((kind, body))
            self._remember(pair, action)

        @rule()
        def deliver_what_is_late(self) -> None:
            late, self.late = self.late, []
            for kind, body in reversed(late):
                run(path.publish(kind, body))
                self.sent.append((kind, body))

        @rule(data=st.data())
        def deliver_again(self, data: st.DataObject) -> None:
            if self.sent:
                run(path.publish(*data.draw(st.sampled_from(self.sent))))

        @rule()
        def let_the_consumers_work(self) -> None:
            run(path.consumed())

        @rule(kind=st.sampled_from(Kind))
        def flush(self, kind: Kind) -> None:
            run(path.flushers[kind].flush())

        @rule(kind=st.sampled_from(Kind))
        def flush_twice_at_once(self, kind: Kind) -> None:
            async def both_without_lock() -> None:
                pending = await path.world.store(kind).list_pending(1000)

                async def one() -> None:
                    if pending:
                        await absorb_actions(path.world.database, kind, pending)
                    await path.world.store(kind).settle(pending)

                await asyncio.gather(one(), one(), path.flushers[kind].flush())

            run(both_without_lock())

        @rule(data=st.data(), count=st.integers(1, 4))
        def act_while_a_flusher_stalls(self, data: st.DataObject, count: int) -> None:
            """It has read what is pending, and goes on when newer actions have come, or later still."""
            run(path.consumed())
            for kind in Kind:
                self.stalled.append((kind, run(path.world.store(kind).list_pending(1000))))
            self.act(data, count)
            if data.draw(st.booleans()):
                run(path.flushers[data.draw(st.sampled_from(Kind))].flush())
            if data.draw(st.booleans()):
                run(path.consumed())
                self.wake_the_stalled()

        @rule()
        def wake_the_stalled(self) -> None:
            async def finish(kind: Kind, pending: list[Action]) -> None:
                if pending:
                    await absorb_actions(path.world.database, kind, pending)
                await path.world.store(kind).settle(pending)

            stalled, self.stalled = self.stalled, []
            for kind, pending in stalled:
                run(finish(kind, pending))

        @rule()
        def everybody_looks(self) -> None:
            self.deliver_what_is_late()
            run(path.consumed())
            overlay = Overlay(path.world.redis)
            flags = ViewerFlags(path.world.database, overlay)
            lists = ActionLists(path.world.database, overlay)
            for person in self.people:
                seen = run(flags.read(person, user_ids=self.people, video_ids=self.videos))
                for kind, shown in (
                    (Kind.FAVORITE, seen.favorited),
                    (Kind.RELATION, seen.followed),
                ):
                    expected = [
                        target
                        for pair_kind, user, target in reversed(self.order)
                        if (pair_kind, user) == (kind, person)
                        and self.last[pair_kind, user, target] is ActionType.DO
                    ]
                    assert shown == set(expected)
                    page = run(
                        lists.list_targets(
                            kind, person, viewer_id=person, before=FROM_THE_START, limit=100
                        )
                    )
                    assert page.ids == expected

        @rule()
        def counters_equal_rows(self) -> None:
            run(check_counters(path.world, self.people, self.videos))

        def teardown(self) -> None:
            if not hasattr(self, "people"):
                return
            self.everybody_looks()
            self.wake_the_stalled()
            for kind in Kind:
                run(path.flushers[kind].flush())
            for kind in Kind:
                rows = run(path.world.rows(kind, self.people))
                assert rows == {
                    (user, target, action is ActionType.DO)
                    for (pair_kind, user, target), action in self.last.items()
                    if pair_kind is kind
                }
            self.counters_equal_rows()

    return WritePathMachine


async def check_counters(world: World, people: Sequence[int], videos: Sequence[int]) -> None:
    """All videos are of the first person."""
    likes = {(user, target) for user, target, on in await world.rows(Kind.FAVORITE, people) if on}
    follows = {(user, target) for user, target, on in await world.rows(Kind.RELATION, people) if on}
    for video in videos:
        assert await world.favorite_count(video) == sum(target == video for _, target in likes)
    for person in people:
        assert await world.counters(person) == {
            "favorite_count": sum(user == person for user, _ in likes),
            "total_favorited": len(likes) if person == people[0] else 0,
            "following_count": sum(user == person for user, _ in follows),
            "follower_count": sum(target == person for _, target in follows),
        }


@pytest.mark.timeout(600)
@pytest.mark.servers
def test_the_last_action_of_every_pair_counts_whatever_happens_on_the_way(request):
    all_settings = request.getfixturevalue("settings")
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        def run(coroutine: Coroutine[Any, Any, T]) -> T:
            return runner.run(coroutine)

        # The consumers run whenever a rule runs, which is as late and as often as rules are drawn.
        path = run(stack.enter_async_context(open_path(all_settings)))
        try:
            machine = make_machine(run, path)
            machine.TestCase.settings = settings(
                max_examples=30,
                stateful_step_count=25,
                deadline=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )
            machine.TestCase("runTest").debug()
        finally:
            run(stack.aclose())
