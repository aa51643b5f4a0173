"""Consuming: in order, in batches, and never acknowledged before it is done."""

import asyncio
from collections.abc import Sequence

from prometheus_client import REGISTRY

from pkg.errors import DependencyUnavailable
from pkg.mq.consumer import DeadLetter, Delivery
from pkg.mq.publisher import REQUEST_ID_HEADER
from tests.eventually import PATIENCE_S, eventually
from tests.pkg.mq.broker import (
    Recorder,
    count_messages,
    make_consumer,
    publish_until_accepted,
    running,
    wait_for_count,
)


async def test_messages_arrive_in_order_with_their_headers(broker, kind, publisher):
    seen: list[Delivery] = []

    async def handle(batch: Sequence[Delivery]) -> Sequence[DeadLetter]:
        seen.extend(batch)
        return []

    async with running(make_consumer(broker, kind, handle, publisher)):
        for number in range(20):
            await publisher.publish(kind, b"%d" % number, {REQUEST_ID_HEADER: f"r{number}"})
        await eventually(lambda: len(seen) == 20)

    assert [item.body for item in seen] == [b"%d" % number for number in range(20)]
    assert seen[3].headers[REQUEST_ID_HEADER] == "r3"
    assert not seen[3].redelivered


async def test_a_queue_that_somebody_deleted_is_declared_again(broker, kind, publisher):
    handler = Recorder()
    async with running(make_consumer(broker, kind, handler, publisher)):
        await publisher.publish(kind, b"before")
        await eventually(lambda: handler.bodies)
        await asyncio.to_thread(broker.ctl, "delete_queue", "-p", "dousheng", kind)

        await publish_until_accepted(publisher, kind, b"after")

        await eventually(lambda: b"after" in handler.bodies)


async def test_a_consumer_goes_on_while_publishers_are_blocked(broker, kind, publisher):
    handler = Recorder()
    for number in range(3):
        await publisher.publish(kind, b"%d" % number)
    await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "0.00001")
    try:
        async with running(make_consumer(broker, kind, handler, publisher)):
            await eventually(lambda: len(handler.bodies) == 3)
        assert await count_messages(broker, kind) == 0
    finally:
        await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "0.4")


async def test_what_has_arrived_is_one_batch_with_one_acknowledgement(broker, kind, publisher):
    handler = Recorder()
    handler.gate.clear()
    async with running(make_consumer(broker, kind, handler, publisher)):
        await asyncio.gather(*(publisher.publish(kind, b"%d" % number) for number in range(450)))
        handler.gate.set()
        await eventually(lambda: len(handler.bodies) == 450)

    assert max(len(batch) for batch in handler.batches) == broker.settings.batch_messages
    assert len(handler.batches) <= 5
    assert await count_messages(broker, kind) == 0


async def test_a_batch_is_held_in_order_while_a_server_is_down(broker, kind, publisher):
    handler = Recorder()
    handler.failure = lambda _batch: DependencyUnavailable(detail="redis is down")
    async with running(make_consumer(broker, kind, handler, publisher)):
        for number in range(10):
            await publisher.publish(kind, b"%d" % number)
        await eventually(lambda: handler.attempts >= 4)
        assert handler.bodies == []

        handler.failure = lambda _batch: None

        await eventually(lambda: len(handler.bodies) == 10)
    assert handler.bodies == [b"%d" % number for number in range(10)]
    assert await count_messages(broker, kind) == 0


async def test_a_standby_takes_over_when_the_active_consumer_is_gone(broker, kind, publisher):
    first, second = Recorder(), Recorder()
    async with running(make_consumer(broker, kind, second, publisher)) as _stop:
        pass  # Declares the queue with its single active consumer.
    async with running(make_consumer(broker, kind, first, publisher)) as stop_first:
        await publisher.publish(kind, b"1")
        await eventually(lambda: first.bodies == [b"1"])
        async with running(make_consumer(broker, kind, second, publisher)):
            await publisher.publish(kind, b"2")
            await eventually(lambda: first.bodies == [b"1", b"2"])
            assert second.bodies == []

            stop_first.set()

            await publisher.publish(kind, b"3")
            await eventually(lambda: b"3" in first.bodies + second.bodies)
            await publisher.publish(kind, b"4")
            await eventually(lambda: b"4" in second.bodies)


async def test_a_consumer_subscribes_again_after_the_broker_was_killed(broker, kind, publisher):
    handler = Recorder()
    async with running(make_consumer(broker, kind, handler, publisher)):
        await publisher.publish(kind, b"before")
        await eventually(lambda: handler.bodies)
        broker.kill()

        await publish_until_accepted(publisher, kind, b"after")

        await eventually(lambda: b"after" in handler.bodies)


async def test_a_batch_that_was_not_acknowledged_comes_again(broker, kind, publisher):
    handler = Recorder()
    handler.gate.clear()
    async with running(make_consumer(broker, kind, handler, publisher)):
        await publisher.publish(kind, b"1")
        await eventually(lambda: handler.attempts == 1)
        broker.kill()
        await asyncio.to_thread(broker.wait_ready)
        handler.gate.set()

        await eventually(lambda: handler.bodies.count(b"1") == 2)
        await publisher.wait_connected(timeout_s=PATIENCE_S)
    assert await count_messages(broker, kind) == 0


async def test_stopping_finishes_and_acknowledges_the_batch_in_hand(broker, kind, publisher):
    handler = Recorder()
    handler.gate.clear()
    stop = asyncio.Event()
    consuming = asyncio.create_task(make_consumer(broker, kind, handler, publisher).run(stop))
    await publisher.publish(kind, b"1")
    await eventually(lambda: handler.attempts == 1)

    stop.set()
    ended, _ = await asyncio.wait({consuming}, timeout=0.1)
    handler.gate.set()
    await consuming

    assert not ended
    assert handler.bodies == [b"1"]
    assert await count_messages(broker, kind) == 0


async def test_stopping_leaves_a_held_batch_in_the_queue(broker, kind, publisher):
    handler = Recorder()
    handler.failure = lambda _batch: DependencyUnavailable(detail="redis is down")
    async with running(make_consumer(broker, kind, handler, publisher)) as stop:
        await publisher.publish(kind, b"1")
        await eventually(lambda: handler.attempts >= 2)
        assert holds_a_batch(kind)
        stop.set()

    await wait_for_count(broker, kind, 1)
    assert not holds_a_batch(kind), "it is in the queue, and no longer ours"


def holds_a_batch(kind: str) -> bool:
    return REGISTRY.get_sample_value("dousheng_mq_holding", {"queue": kind}) == 1
