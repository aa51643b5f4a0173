"""Messages that nobody can handle."""

import asyncio

from pkg.mq.connection import dead_queue
from pkg.mq.consumer import REASON_HEADER
from pkg.mq.dead_letters import open_dead_letters
from pkg.mq.publisher import REQUEST_ID_HEADER
from tests.eventually import eventually
from tests.pkg.mq.broker import (
    Recorder,
    count_messages,
    make_consumer,
    running,
    wait_for_count,
)


async def test_a_malformed_message_becomes_a_dead_letter_with_its_reason(broker, kind, publisher):
    handler = Recorder()
    async with running(make_consumer(broker, kind, handler, publisher)):
        await publisher.publish(kind, b"junk", {REQUEST_ID_HEADER: "r1"})
        await publisher.publish(kind, b"good")
        await wait_for_count(broker, dead_queue(kind), 1)

    assert await count_messages(broker, kind) == 0
    async with open_dead_letters(broker.settings, kind) as dead:
        [letter] = await dead.read(limit=10)
    assert letter.body == b"junk"
    assert letter.headers == {REQUEST_ID_HEADER: "r1", REASON_HEADER: "no JSON"}


async def test_a_dead_letter_stays_until_it_is_discarded(broker, kind, publisher):
    await publisher.publish(dead_queue(kind), b"junk")
    async with open_dead_letters(broker.settings, kind) as dead:
        assert len(await dead.read(limit=10)) == 1
    async with open_dead_letters(broker.settings, kind) as dead:
        [letter] = await dead.read(limit=10)
        await dead.discard(letter)
    async with open_dead_letters(broker.settings, kind) as dead:
        assert await dead.count() == 0
        assert await dead.read(limit=10) == []


async def test_one_message_that_breaks_the_handler_does_not_stop_the_others(
    broker, kind, publisher
):
    handler = Recorder()
    handler.failure = lambda batch: (
        ValueError("bad one") if any(item.body == b"17" for item in batch) else None
    )
    await asyncio.gather(*(publisher.publish(kind, b"%d" % number) for number in range(50)))

    async with running(make_consumer(broker, kind, handler, publisher)):
        await eventually(lambda: len(handler.bodies) == 49)
        await wait_for_count(broker, dead_queue(kind), 1)

    assert b"17" not in handler.bodies
    assert await count_messages(broker, kind) == 0
