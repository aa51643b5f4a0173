"""Consuming in batches, in order, with one acknowledgement per batch."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from loguru import logger

from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable
from pkg.log import request_id
from pkg.mq.connection import (
    Backoff,
    BrokerChannel,
    BrokerConnection,
    RabbitMQSettings,
    dead_queue,
    declare_queues,
    describe_failure,
    keep_running,
    translate_amqp_errors,
    wait_any,
)
from pkg.mq.metrics import CONNECTED, CONSUMED, DEAD_LETTERED, HOLDING
from pkg.mq.publisher import REQUEST_ID_HEADER, Publisher
from pkg.tracing import TRACEPARENT, Kind, Span, begin_batch

REASON_HEADER = "x-reason"
MAX_REASON_LENGTH = 200
TRACED = {"messaging.system": "rabbitmq", "messaging.operation.type": "process"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as the broker handed it over."""

    body: bytes
    headers: Mapping[str, str]
    delivery_tag: int
    redelivered: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that can never be handled, and why."""

    delivery: Delivery
    reason: str


# Applies a batch, which is safe to repeat, and returns those of its messages that are malformed.
Handler = Callable[[Sequence[Delivery]], Awaitable[Sequence[DeadLetter]]]


class _Interrupted(Exception):
    """The batch in hand is left to whoever consumes next: we stop, or the channel that brought it is lost."""


class Consumer:
    """Brings the messages of one kind to a handler, batch by batch, in the order of the queue.

    A batch is acknowledged after the handler has returned and its dead letters are confirmed. While the handler
    raises DependencyUnavailable or DeadlineExceeded the batch is held and tried again; nothing overtakes it, and
    nothing is ever returned to the queue by us, since that would move it behind later messages. Any other exception
    halves the batch until the one message that causes it is found and put with the dead letters.
    """

    def __init__(
        self,
        settings: RabbitMQSettings,
        kind: str,
        handle: Handler,
        *,
        dead_letters: Publisher,
        name: str,
    ) -> None:
        self._settings = settings
        self._kind = kind
        self._handle = handle
        self._dead_letters = dead_letters
        self._name = f"{name} consumer"

    async def run(self, stop: asyncio.Event) -> None:
        """Consume, subscribing again whenever the broker was lost, until `stop` is set and the batch in hand is done."""
        await keep_running(stop, self._consume, role=self._name)

    async def _consume(self, stopping: asyncio.Future[Any], backoff: Backoff) -> None:
        connection = await BrokerConnection.open(self._settings, name=self._name)
        try:
            inbox = await self._subscribe(connection)
            backoff.reset()
            CONNECTED.labels(role=self._name).set(1)
            logger.bind(role=self._name).info("broker connected")
            await self._work(inbox, stopping)
            await connection.close()
        finally:
            CONNECTED.labels(role=self._name).set(0)
            connection.abort()

    async def _subscribe(self, connection: BrokerConnection) -> "_Inbox":
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                channel = await connection.open_channel()
                await declare_queues(connection, channel, [self._kind])
                inbox = _Inbox(channel)
                await inbox.open(self._kind, prefetch=self._settings.prefetch_messages)
                return inbox
        except TimeoutError as exc:
            raise DependencyUnavailable(detail="rabbitmq: no subscription in time") from exc

    async def _work(self, inbox: "_Inbox", stopping: asyncio.Future[Any]) -> None:
        """Handle batch after batch until we stop, or raise when the channel is lost."""
        stopping.add_done_callback(inbox.wake)
        try:
            while not stopping.done():
                batch = await inbox.take(self._settings.batch_messages)
                if batch:
                    await self._settle(batch, (stopping, inbox.channel.lost))
                    inbox.acknowledge(batch)
                    CONSUMED.labels(queue=self._kind).inc(len(batch))
        except _Interrupted:
            logger.bind(queue=self._kind).info("batch left to the next consumer")
        finally:
            stopping.remove_done_callback(inbox.wake)
        if inbox.channel.lost.done():
            raise describe_failure(inbox.channel.lost.result())

    async def _settle(self, batch: Sequence[Delivery], interrupts: "_Interrupts") -> None:
        """Return when every message of the batch was applied or is a confirmed dead letter."""
        with begin_batch(f"process {self._kind}", Kind.CONSUMER, TRACED) as span:
            if span.is_recording:
                _link_messages(span, batch)
            for letter in await self._apply(batch, interrupts):
                await self._hold(partial(self._publish_dead_letter, letter), interrupts)

    async def _apply(
        self, batch: Sequence[Delivery], interrupts: "_Interrupts"
    ) -> list[DeadLetter]:
        try:
            return list(await self._hold(lambda: self._handle(batch), interrupts))
        except _Interrupted:
            raise
        except Exception as exc:  # noqa: BLE001 - one bad message must not stop the others
            if len(batch) == 1:
                logger.bind(queue=self._kind).exception("message cannot be handled")
                return [DeadLetter(batch[0], f"{type(exc).__name__}: {exc}")]
        middle = len(batch) // 2
        earlier = await self._apply(batch[:middle], interrupts)
        return earlier + await self._apply(batch[middle:], interrupts)

    async def _hold(self, attempt: Callable[[], Awaitable[T]], interrupts: "_Interrupts") -> T:
        """Try until the servers that the attempt needs are there.

        Raises:
            _Interrupted: we stop or the channel was lost, and the attempt has not succeeded yet.
        """
        backoff = Backoff()
        held = HOLDING.labels(queue=self._kind)
        try:
            while True:
                try:
                    return await attempt()
                except (DependencyUnavailable, DeadlineExceeded) as exc:
                    refused = isinstance(exc, DependencyRefused)
                    level = ("ERROR" if refused else "WARNING") if backoff.is_fresh else "DEBUG"
                    logger.bind(queue=self._kind, error=exc.detail).log(level, "batch held")
                    held.set(1)
                await wait_any(*interrupts, timeout_s=backoff.next_s())
                if any(interrupt.done() for interrupt in interrupts):
                    raise _Interrupted
        finally:
            # Also where somebody else goes on with the batch: then we hold nothing any more.
            held.set(0)

    async def _publish_dead_letter(self, letter: DeadLetter) -> None:
        headers = {**letter.delivery.headers, REASON_HEADER: letter.reason[:MAX_REASON_LENGTH]}
        context = request_id.set(headers.get(REQUEST_ID_HEADER, "-"))
        try:
            await self._dead_letters.publish(dead_queue(self._kind), letter.delivery.body, headers)
            DEAD_LETTERED.labels(queue=self._kind).inc()
            facts = {"queue": self._kind, "reason": letter.reason}
            logger.bind(**facts).error("message put with the dead letters")
        finally:
            request_id.reset(context)


def _link_messages(span: Span, batch: Sequence[Delivery]) -> None:
    span.set("messaging.batch.message_count", len(batch))
    for delivery in batch:
        span.link(delivery.headers.get(TRACEPARENT))


def read_headers(properties: Any) -> dict[str, str]:
    """Return the headers that a publisher set, without those that the broker adds."""
    headers = properties.headers or {}
    return {str(key): str(value) for key, value in headers.items() if key != "x-delivery-count"}


_Interrupts = tuple[asyncio.Future[Any], asyncio.Future[str]]


class _Inbox:
    """What one subscription has delivered and nobody has taken yet."""

    def __init__(self, channel: BrokerChannel) -> None:
        self.channel = channel
        self._deliveries: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        channel.lost.add_done_callback(self.wake)

    async def open(self, queue: str, *, prefetch: int) -> None:
        """Subscribe; from now on at most `prefetch` messages are here or in the hands of `take`'s caller."""
        raw = self.channel.raw
        # The broker cancels us when the queue is deleted: a new subscription declares it again.
        raw.add_on_cancel_callback(lambda _frame: self.channel.lose("consumer cancelled"))
        await self.channel.call(raw.basic_qos, prefetch_count=prefetch)
        await self.channel.call(raw.basic_consume, queue, self._on_message)

    def wake(self, _done: object = None) -> None:
        """Make `take` return even if nothing has arrived."""
        self._wake.set()

    async def take(self, limit: int) -> list[Delivery]:
        """Wait until something has arrived and return what has, at most `limit`; nothing when woken or lost."""
        await self._wake.wait()
        if self.channel.lost.done():
            raise _Interrupted
        batch = [self._deliveries.popleft() for _ in range(min(limit, len(self._deliveries)))]
        if not self._deliveries:
            self._wake.clear()
        return batch

    def acknowledge(self, batch: Sequence[Delivery]) -> None:
        """Tell the broker that this batch and everything before it is done."""
        with translate_amqp_errors():
            self.channel.raw.basic_ack(batch[-1].delivery_tag, multiple=True)

    def _on_message(self, _channel: object, method: Any, properties: Any, body: bytes) -> None:
        headers = read_headers(properties)
        self._deliveries.append(Delivery(body, headers, method.delivery_tag, method.redelivered))
        self._wake.set()
