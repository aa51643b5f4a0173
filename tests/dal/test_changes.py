"""The log of changes: whoever keeps something forgets what was announced, and everything where that cannot be known."""

import asyncio

import pytest

from dal.redis import changes
from dal.redis.changes import ENTRIES_KEPT, EVERYTHING, MOST_OWED, ChangeLog, ChangeWatch, Subject
from dal.redis.keys import changes_key
from pkg.errors import DependencyUnavailable
from tests.eventually import eventually
from tests.freezing import frozen


class Memory:
    """Notes what it is told to forget."""

    def __init__(self, watch: ChangeWatch, subject: Subject) -> None:
        self.forgotten: list[int] = []
        self.times_all = 0
        watch.tell(subject, self.forgotten.append, forget_all=self._forget_all)

    def _forget_all(self) -> None:
        self.times_all += 1


@pytest.fixture
def log(actions_redis) -> ChangeLog:
    return ChangeLog(actions_redis)


@pytest.fixture
async def watch(actions_redis) -> ChangeWatch:
    return ChangeWatch(actions_redis)


@pytest.fixture
async def users(watch) -> Memory:
    """Told of users, and up to date."""
    memory = Memory(watch, Subject.USER)
    await watch.look()
    memory.times_all = 0
    return memory


async def test_a_look_tells_what_was_announced_since_the_last_one(log, watch, users):
    videos = Memory(watch, Subject.VIDEO)
    await log.announce([(Subject.USER, 1), (Subject.VIDEO, 2)])
    await log.announce([(Subject.USER, 3)])

    await watch.look()
    await watch.look()

    assert (users.forgotten, videos.forgotten) == ([1, 3], [2])
    assert users.times_all == 0


async def test_more_changes_than_an_entry_or_a_read_holds_arrive_all(log, watch, users):
    for _ in range(changes.READ_AT_ONCE + 5):
        await log.announce([(Subject.USER, 1)])
    await log.announce((Subject.USER, number) for number in range(1000))

    await watch.look()

    assert set(users.forgotten) == set(range(1000))
    assert users.times_all == 0


async def test_who_begins_to_look_knows_nothing_that_was_before(log, watch, actions_redis):
    await log.announce([(Subject.USER, 1)])
    late = Memory(watch, Subject.USER)

    await watch.look()

    assert late.forgotten == []
    assert late.times_all == 1


@pytest.mark.parametrize("loss", ["emptied", "another log"])
async def test_a_log_without_the_entry_at_which_the_reader_stopped_voids_everything(
    log, watch, users, loss, *, actions_redis
):
    await actions_redis.delete(changes_key())
    if loss != "emptied":
        await log.announce([(Subject.USER, 1)])

    await watch.look()
    await watch.look()

    assert users.times_all == 1
    await log.announce([(Subject.USER, 5)])
    await watch.look()
    assert users.forgotten == [5]


async def test_the_log_is_bounded_and_a_reader_that_slept_forgets_everything(
    watch, users, actions_redis
):
    for _ in range(ENTRIES_KEPT // 50):
        async with actions_redis.pipeline(transaction=False) as pipeline:
            for number in range(100):
                changes.add_changes(pipeline, [(Subject.USER, number)])
            await pipeline.execute()

    await watch.look()

    # Redis cuts whole blocks of a hundred entries.
    assert await actions_redis.xlen(changes_key()) <= ENTRIES_KEPT + 100
    assert users.times_all == 1


async def test_while_redis_does_not_answer_everything_is_forgotten_at_each_look(
    log, watch, users, servers
):
    with frozen(servers.pid("redis-actions")):
        await watch.look()
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            await watch.look()
        took_s = asyncio.get_running_loop().time() - began
        await log.try_to_announce([(Subject.USER, 1)])

    assert users.times_all == 21
    # After the first look nobody waits for the server.
    assert took_s < changes.TIMEOUT_S * 20


async def test_a_hundred_looks_at_the_same_moment_share_two_reads(log, watch, users, actions_redis):
    before = (await actions_redis.info("commandstats")).get("cmdstat_xrange", {"calls": 0})["calls"]

    await asyncio.gather(*(watch.look() for _ in range(100)))

    after = (await actions_redis.info("commandstats"))["cmdstat_xrange"]["calls"]
    assert after - before <= 2


async def test_what_changed_beside_the_processes_makes_every_reader_forget_everything(
    log, watch, users
):
    videos = Memory(watch, Subject.VIDEO)
    await log.announce([EVERYTHING])
    await log.announce([(Subject.USER, 1)])

    await watch.look()
    await watch.look()

    assert (users.times_all, videos.times_all) == (1, 1)
    assert users.forgotten == [1]


@pytest.mark.parametrize("is_tried", [True, False])
async def test_what_could_not_be_announced_is_announced_with_what_comes_next(
    log, watch, users, servers, *, is_tried
):
    with frozen(servers.pid("redis-actions")):
        for number in (1, 2):  # Of those that are tried, the second one is not even sent.
            if is_tried:
                await log.try_to_announce([(Subject.USER, number)])
            else:
                with pytest.raises(DependencyUnavailable):
                    await log.announce([(Subject.USER, number)])
    await watch.look()
    users.forgotten.clear()

    await log.announce([(Subject.USER, 3)])

    await watch.look()
    assert set(users.forgotten) == {1, 2, 3}
    users.forgotten.clear()
    await log.announce([(Subject.USER, 4)])
    await watch.look()
    assert users.forgotten == [4]


async def test_an_announcement_that_is_cancelled_is_owed(log, watch, users, servers):
    with frozen(servers.pid("redis-actions")):
        announcing = asyncio.create_task(log.announce([(Subject.USER, 1)]))
        await asyncio.wait({announcing}, timeout=0.05)
        announcing.cancel()
        await asyncio.wait({announcing})
    await watch.look()
    users.forgotten.clear()

    await log.announce(())

    await watch.look()
    assert users.forgotten == [1]


async def test_what_is_owed_is_announced_without_another_change(log, watch, users, servers):
    stop = asyncio.Event()
    announcing = asyncio.create_task(log.keep_announcing(stop))

    async def has_forgotten_everything() -> bool:
        await watch.look()
        return bool(users.times_all)

    # The process before this one may have been killed before it announced something.
    await eventually(has_forgotten_everything)
    with frozen(servers.pid("redis-actions")):
        await log.try_to_announce([(Subject.USER, 1)])
    await watch.look()
    users.forgotten.clear()

    async def is_told() -> bool:
        await watch.look()
        return bool(users.forgotten == [1])

    await eventually(is_told)
    stop.set()
    await announcing


async def test_who_owes_very_much_announces_everything_instead(log, watch, users, servers):
    with frozen(servers.pid("redis-actions")):
        await log.try_to_announce([(Subject.USER, number) for number in range(MOST_OWED + 1)])
    await watch.look()
    users.forgotten.clear()
    users.times_all = 0

    await log.announce(())

    await watch.look()
    assert (users.forgotten, users.times_all) == ([], 1)
