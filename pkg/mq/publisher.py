"""Publishing with confirms over one shared connection."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from loguru import logger
from pika import spec

from pkg.dependency_calls import Dependency
from pkg.errors import DeadlineExceeded, DependencyUnavailable, DomainError
from pkg.log import request_id
from pkg.mq.connection import (
    Backoff,
    BrokerChannel,
    BrokerConnection,
    RabbitMQSettings,
    declare_queues,
    describe_failure,
    keep_running,
    translate_amqp_errors,
    wait_any,
)
from pkg.mq.metrics import CONNECTED, PUBLISHED
from pkg.tracing import TRACEPARENT, Kind, child, current_traceparent

RABBITMQ = Dependency("rabbitmq")
REQUEST_ID_HEADER = "x-request-id"
TRACED = {"messaging.system": "rabbitmq", "messaging.operation.type": "send"}
# A broker that confirms nothing for this many time-outs is taken for frozen, a shorter silence for a busy one.
SILENT_TIMEOUTS = 2
MAX_UNCONFIRMED = 20_000  # Bounds what a broker that has stopped answering can hold of our memory.


class Publisher:
    """Publishes to the queues of some kinds; `run` keeps its connection open.

    The connection carries nothing but publications: a broker that is short of memory stops reading from connections
    that publish, and acknowledgements on the same one would be stuck, and with them the way out of the shortage.
    """

    def __init__(self, settings: RabbitMQSettings, kinds: Sequence[str], *, name: str) -> None:
        self._settings = settings
        self._kinds = tuple(kinds)
        self._name = f"{name} publisher"
        self._session: _Session | None = None
        self._connected = asyncio.Event()

    async def wait_connected(self, *, timeout_s: float) -> None:
        """Return when a message can be sent; for scripts, since a service answers an error at once.

        Raises:
            DependencyUnavailable: the broker did not let us in in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
        except TimeoutError as exc:
            raise DependencyUnavailable(detail="rabbitmq: not connected") from exc

    async def publish(
        self, queue: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Return when the broker has the message safe on its disks.

        The request id and the trace of the context travel in the headers unless they are given.

        Raises:
            DependencyUnavailable: the broker is unavailable, refused the message, or was lost before the confirm.
            DeadlineExceeded: no confirm came within `confirm_timeout_s`.
            After both the message may or may not be in the queue.
        """
        try:
            with RABBITMQ.call("publish"), child(f"publish {queue}", Kind.PRODUCER, TRACED):
                await self._publish(queue, body, _context_headers() | dict(headers or {}))
        except DomainError as exc:
            PUBLISHED.labels(queue=queue, outcome=type(exc).__name__).inc()
            raise
        PUBLISHED.labels(queue=queue, outcome="confirmed").inc()

    async def _publish(self, queue: str, body: bytes, headers: dict[str, str]) -> None:
        session = self._session
        if session is None:
            raise DependencyUnavailable(detail="rabbitmq: not connected")
        tag, confirmed = session.send(queue, body, headers)
        try:
            async with asyncio.timeout(self._settings.confirm_timeout_s):
                await confirmed
        except TimeoutError as exc:
            session.doubt(self._settings.confirm_timeout_s * SILENT_TIMEOUTS)
            raise DeadlineExceeded(detail=f"rabbitmq: no confirm from {queue}") from exc
        finally:
            session.forget(tag)

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected, whatever happens to the broker, until `stop` is set."""
        await keep_running(stop, self._stay_connected, role=self._name)

    async def _stay_connected(self, stopping: asyncio.Future[Any], backoff: Backoff) -> None:
        connection = await BrokerConnection.open(self._settings, name=self._name)
        try:
            session = await self._open_session(connection)
            backoff.reset()
            logger.bind(role=self._name).info("broker connected")
            await self._offer(session, stopping)
            await connection.close()
        finally:
            connection.abort()

    async def _open_session(self, connection: BrokerConnection) -> "_Session":
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                channel = await connection.open_channel()
                await declare_queues(connection, channel, self._kinds)
                return await _Session.open(connection, channel)
        except TimeoutError as exc:
            raise DependencyUnavailable(detail="rabbitmq: no channel in time") from exc

    async def _offer(self, session: "_Session", stopping: asyncio.Future[Any]) -> None:
        """Let `publish` use the session until it is lost (which raises) or we stop."""
        self._session = session
        self._connected.set()
        CONNECTED.labels(role=self._name).set(1)
        try:
            await wait_any(stopping, session.channel.lost)
        finally:
            self._session = None
            self._connected.clear()
            CONNECTED.labels(role=self._name).set(0)
        if session.channel.lost.done():
            raise describe_failure(session.channel.lost.result())
        await session.drain(self._settings.confirm_timeout_s)


class _Session:
    """One channel in confirm mode and the messages on it that the broker has not confirmed yet."""

    def __init__(self, connection: BrokerConnection, channel: BrokerChannel) -> None:
        self.channel = channel
        self._last_confirm_at = asyncio.get_running_loop().time()
        self._connection = connection
        self._blocked = False
        self._last_tag = 0
        # By delivery tag, ascending: the broker counts the messages of a channel from 1.
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}

    @classmethod
    async def open(cls, connection: BrokerConnection, channel: BrokerChannel) -> "_Session":
        """Put the channel into confirm mode."""
        session = cls(connection, channel)
        connection.on_blocked(session._on_blocked)
        channel.raw.add_on_return_callback(session._on_return)
        channel.lost.add_done_callback(lambda lost: session._fail_all(lost.result()))
        await channel.call(channel.raw.confirm_delivery, session._on_confirm)
        return session

    def send(
        self, queue: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, asyncio.Future[None]]:
        """Write one message; return its tag and the future of its confirm."""
        if self._blocked:
            raise DependencyUnavailable(detail="rabbitmq: connection blocked")
        if len(self._unconfirmed) >= MAX_UNCONFIRMED:
            raise DependencyUnavailable(detail="rabbitmq: too many messages unconfirmed")
        tag = self._last_tag + 1
        properties = spec.BasicProperties(
            content_type="application/json",
            delivery_mode=2,
            message_id=str(tag),  # A returned message has no tag: this is how it finds its future.
            headers=headers,
        )
        with translate_amqp_errors():
            self.channel.raw.basic_publish("", queue, body, properties, mandatory=True)
        self._last_tag = tag
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unconfirmed[tag] = confirmed
        return tag, confirmed

    def forget(self, tag: int) -> None:
        """Nobody waits for this message any more."""
        self._unconfirmed.pop(tag, None)

    def doubt(self, silence_s: float) -> None:
        """Drop a connection on which nothing was confirmed for so long, although something waits.

        Later callers then fail at once instead of waiting too, and the next connection may be better. A blocked one
        stays: the broker says that it is not dead, and it would block a new one as well.
        """
        silent_s = asyncio.get_running_loop().time() - self._last_confirm_at
        if silent_s >= silence_s and not self._blocked:
            self._connection.abort()

    async def drain(self, timeout_s: float) -> None:
        """Wait for the confirms that are still to come."""
        if self._unconfirmed:
            await asyncio.wait(list(self._unconfirmed.values()), timeout=timeout_s)

    def _on_confirm(self, frame: Any) -> None:
        self._last_confirm_at = asyncio.get_running_loop().time()
        method = frame.method
        refused = isinstance(method, spec.Basic.Nack)
        for tag in (
            self._tags_up_to(method.delivery_tag) if method.multiple else [method.delivery_tag]
        ):
            future = self._unconfirmed.pop(tag, None)
            if refused:
                _fail(future, "rabbitmq: nack")
            elif future is not None and not future.done():
                future.set_result(None)

    def _tags_up_to(self, last: int) -> list[int]:
        tags = []
        for tag in self._unconfirmed:
            if tag > last:
                break
            tags.append(tag)
        return tags

    def _on_return(self, _channel: object, method: Any, properties: Any, _body: bytes) -> None:
        # The broker confirms a returned message right after, which then finds nobody.
        _fail(
            self._unconfirmed.pop(int(properties.message_id), None),
            f"returned: {method.reply_text}",
        )
        # Somebody deleted the queue; a new connection declares it again.
        self._connection.abort()

    def _on_blocked(self, blocked: bool) -> None:
        self._blocked = blocked
        logger.bind(blocked=blocked).warning("broker changed whether it reads from us")
        if blocked:
            self._fail_all("connection blocked")

    def _fail_all(self, reason: str) -> None:
        for tag in list(self._unconfirmed):
            _fail(self._unconfirmed.pop(tag), reason)


def _context_headers() -> dict[str, str]:
    headers = {REQUEST_ID_HEADER: request_id.get()}
    if traceparent := current_traceparent():
        headers[TRACEPARENT] = traceparent
    return headers


def _fail(future: asyncio.Future[None] | None, reason: str) -> None:
    if future is not None and not future.done():
        future.set_exception(DependencyUnavailable(detail=f"rabbitmq: {reason}"))
