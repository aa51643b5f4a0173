"""pkg.mq on a real broker that is killed, frozen and short of memory."""

import asyncio
import os
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from pkg.errors import DeadlineExceeded, DependencyUnavailable
from pkg.mq.connection import BrokerConnection, RabbitMQSettings, dead_queue
from pkg.mq.consumer import REASON_HEADER, Consumer, DeadLetter, Delivery
from pkg.mq.dead_letters import open_dead_letters
from pkg.mq.publisher import REQUEST_ID_HEADER, Publisher
from scripts.stack import Stack
from scripts.stack.servers.rabbitmq import RabbitMQ
from tests.conftest import AllSettings
from tests.waiting import eventually

CTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"


class Broker:
    """The broker of the test run and what may happen to it; its supervisor starts it again when it dies."""

    def __init__(self, servers: Stack, settings: RabbitMQSettings) -> None:
        self.settings = settings
        self._servers = servers

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def wait_ready(self) -> None:
        self._servers.wait_ready("rabbitmq")

    def ctl(self, *arguments: str) -> None:
        environment = os.environ | RabbitMQ(self._servers.site).program().environment
        command = [CTL, "-q", "-n", environment["RABBITMQ_NODENAME"], *arguments]
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self._servers.pid("rabbitmq"), number)


@pytest.fixture
def broker(servers: Stack, settings: AllSettings) -> Iterator[Broker]:
    servers.wait_ready("rabbitmq")
    quick = settings.rabbitmq.model_copy(
        update={"confirm_timeout_s": 1.0, "connect_timeout_s": 2.0}
    )
    yield Broker(servers, quick)
    servers.wait_ready("rabbitmq")


@asynccontextmanager
async def running(*parts: Publisher | Consumer) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for part in parts:
            tasks.create_task(part.run(stop))
        try:
            yield stop
        finally:
            stop.set()


@asynccontextmanager
async def open_publisher(broker, kind: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(broker.settings, [kind], name="test")
    async with running(publisher):
        await eventually(lambda: publisher.is_connected)
        yield publisher


class Recorder:
    """A handler that remembers what it was given, and fails as told."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.failure: Callable[[Sequence[Delivery]], Exception | None] = lambda _batch: None
        self.attempts = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def bodies(self) -> list[bytes]:
        return [body for batch in self.batches for body in batch]

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[DeadLetter]:
        self.attempts += 1
        await self.gate.wait()
        if failure := self.failure(batch):
            raise failure
        self.batches.append([delivery.body for delivery in batch])
        return [DeadLetter(item, "no JSON") for item in batch if item.body.startswith(b"junk")]


def make_consumer(broker, kind: str, handler, publisher: Publisher) -> Consumer:
    return Consumer(broker.settings, kind, handler, dead_letters=publisher, name="test")


async def count_messages(broker, queue: str) -> int:
    """How many messages wait in a queue, those in the hands of a consumer not counted."""
    connection = await BrokerConnection.open(broker.settings, name="test count")
    try:
        channel = await connection.open_channel()
        frame = await channel.call(channel.raw.queue_declare, queue, passive=True)
        return int(frame.method.message_count)
    finally:
        await connection.close()


async def wait_for_count(broker, queue: str, expected: int) -> None:
    async def counted() -> bool:
        return await count_messages(broker, queue) == expected

    await eventually(counted, within_s=60)


async def publish_until_accepted(publisher: Publisher, queue: str, body: bytes) -> None:
    async def accepted() -> bool:
        try:
            await publisher.publish(queue, body)
        except (DependencyUnavailable, DeadlineExceeded):
            return False
        return True

    await eventually(accepted, within_s=60)


async def elapsed(call: Awaitable[object]) -> float:
    started = time.monotonic()
    with pytest.raises((DependencyUnavailable, DeadlineExceeded)):
        await call
    return time.monotonic() - started


@pytest.fixture
def kind() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
async def publisher(broker, kind: str) -> AsyncIterator[Publisher]:
    async with open_publisher(broker, kind) as publisher:
        yield publisher


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


async def test_a_message_to_a_queue_that_is_missing_is_an_error(broker, kind, publisher):
    with pytest.raises(DependencyUnavailable, match="NO_ROUTE"):
        await publisher.publish(f"{kind}-nowhere", b"{}")


async def test_a_queue_that_somebody_deleted_is_declared_again(broker, kind, publisher):
    handler = Recorder()
    async with running(make_consumer(broker, kind, handler, publisher)):
        await publisher.publish(kind, b"before")
        await eventually(lambda: handler.bodies)
        await asyncio.to_thread(broker.ctl, "delete_queue", "-p", "dousheng", kind)

        await publish_until_accepted(publisher, kind, b"after")

        await eventually(lambda: b"after" in handler.bodies)


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
                await asyncio.sleep(0.005)
            if number == 1500:
                broker.kill()
    await asyncio.to_thread(broker.wait_ready)
    handler = Recorder()
    await eventually(lambda: publisher.is_connected)
    await publisher.publish(kind, b"last")
    async with running(make_consumer(broker, kind, handler, publisher)):
        await eventually(lambda: b"last" in handler.bodies)

    assert confirmed
    assert failed
    assert set(confirmed) <= set(handler.bodies)


async def test_while_the_broker_is_away_publishing_fails_at_once(broker, kind, publisher):
    broker.kill()
    try:
        await eventually(lambda: not publisher.is_connected)
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


async def test_a_batch_is_held_in_order_while_a_server_is_away(broker, kind, publisher):
    handler = Recorder()
    handler.failure = lambda _batch: DependencyUnavailable(detail="redis is away")
    async with running(make_consumer(broker, kind, handler, publisher)):
        for number in range(10):
            await publisher.publish(kind, b"%d" % number)
        await eventually(lambda: handler.attempts >= 4)
        assert handler.bodies == []

        handler.failure = lambda _batch: None

        await eventually(lambda: len(handler.bodies) == 10)
    assert handler.bodies == [b"%d" % number for number in range(10)]
    assert await count_messages(broker, kind) == 0


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
        await eventually(lambda: publisher.is_connected)
    assert await count_messages(broker, kind) == 0


async def test_stopping_finishes_and_acknowledges_the_batch_in_hand(broker, kind, publisher):
    handler = Recorder()
    handler.gate.clear()
    async with running(make_consumer(broker, kind, handler, publisher)) as stop:
        await publisher.publish(kind, b"1")
        await eventually(lambda: handler.attempts == 1)
        stop.set()
        await asyncio.sleep(0.1)  # The consumer must still be waiting for its handler.
        handler.gate.set()

    assert handler.bodies == [b"1"]
    assert await count_messages(broker, kind) == 0


async def test_stopping_leaves_a_held_batch_in_the_queue(broker, kind, publisher):
    handler = Recorder()
    handler.failure = lambda _batch: DependencyUnavailable(detail="redis is away")
    async with running(make_consumer(broker, kind, handler, publisher)) as stop:
        await publisher.publish(kind, b"1")
        await eventually(lambda: handler.attempts >= 2)
        stop.set()

    await wait_for_count(broker, kind, 1)


async def test_one_connection_confirms_thousands_of_messages_per_second(broker, kind, publisher):
    async def worker() -> None:
        for _ in range(50):
            await publisher.publish(kind, b'{"version":1}')

    started = time.monotonic()
    await asyncio.gather(*(worker() for _ in range(64)))

    assert 3200 / (time.monotonic() - started) > 1000
