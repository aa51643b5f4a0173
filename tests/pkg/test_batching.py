"""Natural batching: shared runs, fresh answers, independent callers."""

import asyncio

import pytest

from pkg.batching import Batcher


class Source:
    """A table that counts its queries; each waits until it is let go."""

    def __init__(self) -> None:
        self.rows = {1: "one", 2: "two", 3: "three"}
        self.queries: list[set[int]] = []
        self.may_answer = asyncio.Event()

    async def load(self, keys: set[int]) -> dict[int, str]:
        self.queries.append(keys)
        await self.may_answer.wait()
        return {key: self.rows[key] for key in keys if key in self.rows}


async def test_what_is_asked_during_a_query_shares_the_next_one():
    source = Source()
    batcher = Batcher(source.load)
    first = asyncio.create_task(batcher.get([1]))
    await asyncio.sleep(0)
    others = [asyncio.create_task(batcher.get([key])) for key in (2, 3, 2)]
    await asyncio.sleep(0)

    source.may_answer.set()
    answers = await asyncio.gather(first, *others)

    assert source.queries == [{1}, {2, 3}]
    assert [answers[0][1], answers[1][2], answers[2][3]] == ["one", "two", "three"]


async def test_an_answer_is_never_older_than_its_question():
    source = Source()
    batcher = Batcher(source.load)
    first = asyncio.create_task(batcher.get([1]))
    await asyncio.sleep(0)
    source.rows[1] = "changed while the first query ran"
    second = asyncio.create_task(batcher.get([1]))
    await asyncio.sleep(0)

    source.may_answer.set()
    await asyncio.gather(first, second)

    assert second.result()[1] == "changed while the first query ran"
    assert len(source.queries) == 2


async def test_a_failure_reaches_everyone_who_shared_the_query_and_nobody_else():
    calls = 0

    async def load(keys: set[int]) -> dict[int, str]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("away")
        return dict.fromkeys(keys, "back")

    batcher = Batcher(load)

    with pytest.raises(ConnectionError):
        await batcher.get([1])

    assert (await batcher.get([1]))[1] == "back"


async def test_one_who_gives_up_takes_the_answer_from_nobody():
    source = Source()
    batcher = Batcher(source.load)
    impatient = asyncio.create_task(batcher.get([1]))
    patient = asyncio.create_task(batcher.get([1]))
    await asyncio.sleep(0)

    impatient.cancel()
    await asyncio.sleep(0)
    source.may_answer.set()

    assert (await patient)[1] == "one"


async def test_nothing_asked_is_no_query():
    source = Source()

    assert await Batcher(source.load).get([]) == {}
    assert source.queries == []
