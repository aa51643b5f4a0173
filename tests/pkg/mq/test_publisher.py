"""Publishing: what is confirmed stays, and everything else is an error in time."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from pkg.errors import DeadlineExceeded, DependencyUnavailable
from tests.eventually import PATIENCE_S, eventually
from tests.pkg.mq.broker import (
    Recorder,
    elapsed,
    make_consumer,
    publish_until_accepted,
    running,
)

ROLE = {"role": "test publisher"}


async def test_a_message_to_a_queue_that_is_missing_is_an_error(broker, kind, publisher):
    with pytest.raises(DependencyUnavailable, match="NO_ROUTE"):
        await publisher.publish(f"{kind}-nowhere", b"{}")


async def test_everything_confirmed_survives_a_killed_broker(broker, kind, publisher):
    confirmed: list[bytes] = []
    failed: list[bytes] = []

    async def send(number: int) -> None:
        body = b"%d" % number
        try:
            await publisher.publish(kind, body)
        except (DependencyUnavailable, DeadlineExceeded):
            failed.append(body)
        else:
            confirmed.append(body)

    async with asyncio.TaskGroup() as tasks:
        for number in range(3000):
            tasks.create_task(send(number))
            if number % 50 == 0:
                # Most have been answered, and some are always under way.
                await eventually(lambda: len(confirmed) + len(failed) >= number - 100)  # noqa: B023
            if number == 1500:
                broker.kill()
    await asyncio.to_thread(broker.wait_ready)
    handler = Recorder()
    await publisher.wait_connected(timeout_s=PATIENCE_S)
    await publisher.publish(kind, b"last")
    async with running(make_consumer(broker, kind, handler, publisher)):
        await eventually(lambda: b"last" in handler.bodies)

    assert confirmed
    assert failed
    assert set(confirmed) <= set(handler.bodies)


async def test_while_the_broker_is_down_publishing_fails_at_once(broker, kind, publisher):
    broker.kill()
    try:
        await eventually(lambda: REGISTRY.get_sample_value("dousheng_mq_connected", ROLE) == 0)
        assert await elapsed(publisher.publish(kind, b"{}")) < 0.1
    finally:
        await asyncio.to_thread(broker.wait_ready)
    await publish_until_accepted(publisher, kind, b"{}")


async def test_a_frozen_broker_is_a_deadline_and_not_a_hang(broker, kind, publisher):
    broker.freeze()
    try:
        limit_s = broker.settings.confirm_timeout_s
        assert limit_s <= await elapsed(publisher.publish(kind, b"{}")) < limit_s + 0.5
        # After two of them the connection is given up: nobody waits in vain again.
        await elapsed(publisher.publish(kind, b"{}"))
        assert await elapsed(publisher.publish(kind, b"{}")) < 0.1
    finally:
        broker.resume()
    await publish_until_accepted(publisher, kind, b"{}")


async def test_a_blocked_connection_is_an_error_and_heals(broker, kind, publisher):
    ctl = broker.ctl
    await asyncio.to_thread(ctl, "set_vm_memory_high_watermark", "0.00001")
    try:

        async def refused() -> bool:
            try:
                await publisher.publish(kind, b"{}")
            except DependencyUnavailable as exc:
                return "blocked" in str(exc)
            return False

        await eventually(refused)
        assert await elapsed(publisher.publish(kind, b"{}")) < 0.1
    finally:
        await asyncio.to_thread(ctl, "set_vm_memory_high_watermark", "0.4")
    await publish_until_accepted(publisher, kind, b"{}")


async def test_no_message_waits_for_the_confirm_of_another(broker, kind, publisher):
    publishes = [
        asyncio.create_task(publisher.publish(kind, b'{"version":1}')) for _ in range(1000)
    ]
    await asyncio.sleep(0)  # Each has begun, and no confirm was read yet.

    assert len(publisher._session._unconfirmed) == 1000
    await asyncio.gather(*publishes)
    assert not publisher._session._unconfirmed
