"""The whole write path on real servers: whatever is delivered, flushed, repeated and stalled, the last action of a pair counts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from dal.db.absorption import absorb_actions
from dal.db.users import require_user
from dal.db.videos import require_video
from dal.redis.changes import ChangeLog, ChangeWatch
from dal.redis.clock import VersionClock
from dal.redis.overlay import Overlay
from dal.redis.pending import PendingActions
from dal.registers.flags import Flags, ViewerFlags
from dal.registers.lists import RegisterLists
from dal.registers.model import Action, ActionType, Kind
from pkg.mq.consumer import Consumer, DeadLetter, Delivery
from pkg.mq.publisher import Publisher
from pkg.paging import PageRequest
from services.actions.consumer import apply_batch
from services.actions.flusher import Flusher
from services.actions.intake import ActionIntake, ExistenceCache
from services.actions.messages import encode_action
from tests.eventually import PATIENCE_S, eventually
from tests.register_stores import RegisterStores, open_stores

T = TypeVar("T")
PEOPLE, VIDEOS = 3, 1


class CountingHandler:
    """The consumer's handler of the product, and how many messages it has handled."""

    def __init__(self, pending: PendingActions) -> None:
        self._pending = pending
        self.handled = 0

    async def __call__(self, batch: Sequence[Delivery]) -> list[DeadLetter]:
        dead = await apply_batch(self._pending, batch)
        self.handled += len(batch)
        return dead


class Path:
    """The parts of both services, in one process, on the real servers."""

    def __init__(self, stores: RegisterStores, rabbitmq: Any) -> None:
        self.stores = stores
        self.publisher = Publisher(rabbitmq, [kind.value for kind in Kind], name="test")
        self.clock = VersionClock(stores.redis)
        queries = {Kind.FAVORITE: require_video, Kind.RELATION: require_user}
        self.intakes = {
            kind: ActionIntake(
                kind,
                targets=ExistenceCache(stores.database, queries[kind]),
                clock=self.clock,
                publisher=self.publisher,
            )
            for kind in Kind
        }
        self.handlers = {kind: CountingHandler(stores.pending(kind)) for kind in Kind}
        self.consumers = [
            Consumer(
                rabbitmq, kind.value, self.handlers[kind], dead_letters=self.publisher, name="test"
            )
            for kind in Kind
        ]
        self.flushers = {
            kind: Flusher(
                stores.database, stores.pending(kind), ChangeLog(stores.redis), batch_size=1000
            )
            for kind in Kind
        }
        self.published = dict.fromkeys(Kind, 0)
        # As in another process, which keeps what it has read.
        self.watch = ChangeWatch(stores.redis)
        self.kept = ViewerFlags(stores.database, Overlay(stores.redis), self.watch)

    async def look(self, viewer_id: int, people: Sequence[int], videos: Sequence[int]) -> Flags:
        """Return what is kept, after a look at what has changed."""
        await self.watch.look()
        return await self.kept.read(viewer_id, user_ids=people, video_ids=videos)

    async def accept(self, kind: Kind, user_id: int, target_id: int, action: ActionType) -> None:
        await self.intakes[kind].accept(user_id=user_id, target_id=target_id, action_type=action)
        self.published[kind] += 1

    async def publish(self, kind: Kind, body: bytes) -> None:
        await self.publisher.publish(kind.value, body)
        self.published[kind] += 1

    async def consumed(self) -> None:
        """Wait until every message that was published has been handled."""

        await eventually(
            lambda: all(self.handlers[kind].handled >= self.published[kind] for kind in Kind)
        )


@asynccontextmanager
async def open_path(all_settings: Any) -> AsyncIterator[Path]:
    async with (
        open_stores(all_settings.mysql, all_settings.redis_actions) as stores,
        asyncio.TaskGroup() as tasks,
    ):
        path = Path(stores, all_settings.rabbitmq)
        stop = asyncio.Event()
        tasks.create_task(path.publisher.run(stop))
        for consumer in path.consumers:
            tasks.create_task(consumer.run(stop))

        await path.publisher.wait_connected(timeout_s=PATIENCE_S)
        try:
            yield path
        finally:
            stop.set()


class WritePathMachine(RuleBasedStateMachine):
    """People like, unlike, follow and unfollow; the model is the last action of each pair."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], path: Path) -> None:
        """Act on these servers; `run` runs a coroutine on their loop."""
        super().__init__()
        self.run = run
        self.path = path

    @initialize()
    def begin(self) -> None:
        self.people = self.run(self.path.stores.add_users(PEOPLE))
        self.videos = self.run(self.path.stores.add_videos(self.people[0], VIDEOS))
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
            self.run(self.path.accept(*pair, action))
            self._remember(pair, action)

    @rule(data=st.data(), action=st.sampled_from(ActionType))
    def act_but_arrive_late(self, data: st.DataObject, action: ActionType) -> None:
        kind, user, target = pair = self._pair(data)
        version = self.run(self.path.clock.draw())
        body = encode_action(kind, Action(user, target, version, action))
        self.late.append((kind, body))
        self._remember(pair, action)

    @rule()
    def deliver_what_is_late(self) -> None:
        late, self.late = self.late, []
        for kind, body in reversed(late):
            self.run(self.path.publish(kind, body))
            self.sent.append((kind, body))

    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        if self.sent:
            self.run(self.path.publish(*data.draw(st.sampled_from(self.sent))))

    @rule()
    def let_the_consumers_work(self) -> None:
        self.run(self.path.consumed())

    @rule(kind=st.sampled_from(Kind))
    def flush(self, kind: Kind) -> None:
        self.run(self.path.flushers[kind].flush())

    @rule(kind=st.sampled_from(Kind))
    def flush_twice_at_once(self, kind: Kind) -> None:
        async def both_without_lock() -> None:
            pending = await self.path.stores.pending(kind).list_oldest(1000)

            async def one() -> None:
                if pending:
                    await absorb_actions(self.path.stores.database, kind, pending)
                await self.path.stores.pending(kind).settle(pending)

            await asyncio.gather(one(), one(), self.path.flushers[kind].flush())

        self.run(both_without_lock())

    @rule(data=st.data(), count=st.integers(1, 4))
    def act_while_a_flusher_stalls(self, data: st.DataObject, count: int) -> None:
        """It has read what is pending, and goes on when newer actions have come, or later still."""
        self.run(self.path.consumed())
        for kind in Kind:
            self.stalled.append((kind, self.run(self.path.stores.pending(kind).list_oldest(1000))))
        self.act(data, count)
        if data.draw(st.booleans()):
            self.run(self.path.flushers[data.draw(st.sampled_from(Kind))].flush())
        if data.draw(st.booleans()):
            self.run(self.path.consumed())
            self.wake_the_stalled()

    @rule()
    def wake_the_stalled(self) -> None:
        async def finish(kind: Kind, pending: list[Action]) -> None:
            if pending:
                await absorb_actions(self.path.stores.database, kind, pending)
            await self.path.stores.pending(kind).settle(pending)

        stalled, self.stalled = self.stalled, []
        for kind, pending in stalled:
            self.run(finish(kind, pending))

    @rule()
    def everybody_looks(self) -> None:
        self.deliver_what_is_late()
        self.run(self.path.consumed())
        overlay = Overlay(self.path.stores.redis)
        flags = ViewerFlags(self.path.stores.database, overlay)
        lists = RegisterLists(self.path.stores.database, overlay)
        for person in self.people:
            seen = self.run(flags.read(person, user_ids=self.people, video_ids=self.videos))
            assert self.run(self.path.look(person, self.people, self.videos)) == seen
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
                page = self.run(
                    lists.list_targets(kind, person, PageRequest(100), viewer_id=person)
                )
                assert page.items == expected

    @rule()
    def counters_equal_rows(self) -> None:
        self.run(check_counters(self.path.stores, self.people, self.videos))

    def teardown(self) -> None:
        if not hasattr(self, "people"):
            return
        self.everybody_looks()
        self.wake_the_stalled()
        for kind in Kind:
            self.run(self.path.flushers[kind].flush())
        for kind in Kind:
            rows = self.run(self.path.stores.rows(kind, self.people))
            assert rows == {
                (user, target, action is ActionType.DO)
                for (pair_kind, user, target), action in self.last.items()
                if pair_kind is kind
            }
        self.counters_equal_rows()


async def check_counters(
    stores: RegisterStores, people: Sequence[int], videos: Sequence[int]
) -> None:
    """All videos are of the first person."""
    likes = {(user, target) for user, target, on in await stores.rows(Kind.FAVORITE, people) if on}
    follows = {
        (user, target) for user, target, on in await stores.rows(Kind.RELATION, people) if on
    }
    for video in videos:
        assert await stores.favorite_count(video) == sum(target == video for _, target in likes)
    for person in people:
        assert await stores.counters(person) == {
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

        class Machine(WritePathMachine):
            def __init__(self) -> None:
                super().__init__(run, path)

        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=30,
                    stateful_step_count=25,
                    deadline=None,
                    phases=[Phase.generate, Phase.shrink],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            run(stack.aclose())
