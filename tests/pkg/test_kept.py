"""Kept values: bounded, loaded once for all who wait, and never shown again once they are forgotten."""

import asyncio
from collections.abc import Mapping

import pytest

from pkg.kept import Kept

FOREVER_S = 3600.0


class Source:
    """What is kept, and how often it was asked; while `opened` is not set it does not answer."""

    def __init__(self) -> None:
        self.values: dict[int, str] = {}
        self.loads: list[set[int]] = []
        self.began = asyncio.Event()
        self.opened = asyncio.Event()
        self.opened.set()

    async def load(self, keys: set[int]) -> Mapping[int, str]:
        self.loads.append(keys)
        found = {key: self.values[key] for key in keys if key in self.values}
        self.began.set()
        await self.opened.wait()
        return found


@pytest.fixture
async def source() -> Source:
    return Source()


def keep(source: Source, *, lifetime_s: float = FOREVER_S, most: int = 100) -> Kept[int, str]:
    return Kept(source.load, lifetime_s=lifetime_s, most=most)


async def test_what_is_kept_is_loaded_once(source):
    kept = keep(source)
    source.values = {1: "a", 2: "b"}

    assert await kept.get([1, 2]) == {1: "a", 2: "b"}
    assert await kept.get([2, 1]) == {1: "a", 2: "b"}

    assert source.loads == [{1, 2}]


async def test_what_is_forgotten_is_loaded_again_and_nothing_else(source):
    kept = keep(source)
    source.values = {1: "a", 2: "b"}
    await kept.get([1, 2])
    source.values = {1: "new", 2: "not announced"}

    kept.forget(1)

    assert await kept.get([1, 2]) == {1: "new", 2: "b"}
    assert source.loads == [{1, 2}, {1}]


@pytest.mark.parametrize("everything", [False, True], ids=["one", "all"])
async def test_what_changes_while_it_is_loaded_is_not_kept(source, everything):
    kept = keep(source)
    source.values = {1: "old"}
    source.opened.clear()
    asked_before = asyncio.create_task(kept.get([1]))
    await source.began.wait()

    source.values = {1: "new"}
    if everything:
        kept.forget_all()
    else:
        kept.forget(1)
    asked_after = asyncio.create_task(kept.get([1]))
    source.opened.set()

    assert await asked_before == {1: "old"}
    assert await asked_after == {1: "new"}
    assert await kept.get([1]) == {1: "new"}


async def test_a_hundred_who_wait_for_the_same_share_one_load(source):
    kept = keep(source)
    source.values = {1: "a"}
    source.opened.clear()
    first = asyncio.create_task(kept.get([1]))
    await source.began.wait()
    others = [asyncio.create_task(kept.get([1])) for _ in range(100)]
    await asyncio.sleep(0)

    source.opened.set()

    assert await asyncio.gather(first, *others) == [{1: "a"}] * 101
    assert len(source.loads) == 2


async def test_nothing_is_older_than_its_lifetime(source):
    kept = keep(source, lifetime_s=1e-9)
    source.values = {1: "a"}
    await kept.get([1])
    source.values = {1: "b"}

    assert await kept.get([1]) == {1: "b"}


async def test_without_a_lifetime_nothing_is_kept(source):
    kept = keep(source, lifetime_s=0)
    source.values = {1: "a"}

    await kept.get([1])

    assert len(kept) == 0


async def test_memory_is_bounded_whatever_is_asked(source):
    kept = keep(source, most=10)
    source.values = dict.fromkeys(range(1000), "a")

    for key in range(1000):
        await kept.get([key])
    await kept.get(range(1000))

    assert 1 <= len(kept) <= 10


async def test_what_weighs_more_than_all_may_is_not_kept(source):
    kept = Kept(source.load, lifetime_s=FOREVER_S, most=10, weigh=len)
    source.values = {1: "a" * 100, 2: "b"}

    await kept.get([1, 2])

    assert len(kept) == 1


async def test_that_there_is_nothing_is_kept_only_where_that_was_asked_for(source):
    keeps = Kept(source.load, lifetime_s=FOREVER_S, most=10, keeps_absence=True)
    for kept, loads in ((keeps, 1), (keep(source), 2)):
        source.loads.clear()

        assert await kept.get([7]) == {}
        assert await kept.get([7]) == {}

        assert len(source.loads) == loads


async def test_an_error_goes_to_those_who_waited_and_is_not_kept(source):
    async def fail(_keys: set[int]) -> Mapping[int, str]:
        raise ConnectionError

    kept: Kept[int, str] = Kept(fail, lifetime_s=FOREVER_S, most=10)
    with pytest.raises(ConnectionError):
        await kept.get([1])

    assert len(kept) == 0
