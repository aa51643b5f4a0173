"""One AMQP connection and its channels as futures, and how lost ones are opened again."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel
from pika.exceptions import AMQPConnectionError

from pkg.endurance import Endurance
from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.nodes import Addresses, Node, NodeTurns
from pkg.settings import Count, Seconds, Secret, Section
from pkg.tls import CERTIFICATE_REFUSALS, TlsSettings

HEARTBEAT_S = 10
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 3.0
CLOSE_TIMEOUT_S = 2.0

# A wrong password, missing rights, no such virtual host, a queue that was declared differently: only an operator helps.
REFUSALS = re.compile(
    r"ACCESS_REFUSED|NOT_ALLOWED|ProbableAuthenticationError|ProbableAccessDeniedError|AuthenticationError|inequivalent arg|"
    + CERTIFICATE_REFUSALS
)

T = TypeVar("T")


class RabbitMQSettings(Section):
    """The section `rabbitmq`: the broker, deadlines, and how much a consumer takes at once."""

    nodes: Addresses
    """Addresses `host:port` of the broker, or of the nodes of a cluster: they are tried in turn."""
    tls: TlsSettings | None = None
    user: str
    """Who logs in."""
    password: Secret
    """The password of `user`."""
    virtual_host: str
    """The virtual host of the queues."""
    connect_timeout_s: Seconds
    """The deadline of connecting, logging in and opening a channel."""
    confirm_timeout_s: Seconds
    """The deadline of one confirm; below the gateway's RPC deadline."""
    prefetch_messages: Count
    """How many messages a consumer may hold that it has not acknowledged."""
    batch_messages: Count
    """How many messages a consumer handles at once, at most."""


def dead_queue(kind: str) -> str:
    """Return the name of the queue for this kind's unreadable messages."""
    return f"{kind}.dead"


def resolve(future: asyncio.Future[T], value: T) -> None:
    """Set a future's result, unless the one who waited has given up."""
    if not future.done():
        future.set_result(value)


@contextmanager
def translate_amqp_errors() -> Iterator[None]:
    """Turn what the driver raises into DependencyUnavailable or DependencyRefused, errors that are not its own as well."""
    try:
        yield
    except DependencyUnavailable:
        raise
    except Exception as exc:
        raise describe_failure(repr(exc)) from exc


def describe_failure(reason: str) -> DependencyUnavailable:
    """Return the error that this reason of a failure means; it is made of the repr() of an exception of the driver."""
    failure = DependencyRefused if REFUSALS.search(reason) else DependencyUnavailable
    return failure(detail=f"rabbitmq: {reason}")


class Backoff:
    """Delays that double up to a limit, drawn at random so that clients do not return in step."""

    def __init__(self) -> None:
        self._ceiling_s = FIRST_DELAY_S

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has failed since the last success."""
        return self._ceiling_s == FIRST_DELAY_S

    def reset(self) -> None:
        """Begin again with the shortest delay."""
        self._ceiling_s = FIRST_DELAY_S

    def next_s(self) -> float:
        """Return how long to wait now."""
        delay_s = random.uniform(self._ceiling_s / 2, self._ceiling_s)  # noqa: S311 - spreads attempts, hides nothing
        self._ceiling_s = min(self._ceiling_s * 2, LONGEST_DELAY_S)
        return delay_s


class BrokerChannel:
    """An open channel; `lost` is done, with the reason, as soon as it is not."""

    def __init__(self, raw: Channel) -> None:
        self.raw = raw
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        raw.add_on_close_callback(lambda _channel, reason: self.lose(repr(reason)))

    def lose(self, reason: str) -> None:
        """Say that this channel is of no use any more."""
        resolve(self.lost, reason)

    async def call(self, method: Callable[..., object], *args: object, **kwargs: object) -> Any:
        """Call a method that takes `callback=` and return the broker's reply frame.

        Raises:
            DependencyUnavailable: the channel was lost before the reply.
        """
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with translate_amqp_errors():
            method(*args, callback=lambda frame: resolve(reply, frame), **kwargs)
        await asyncio.wait((reply, self.lost), return_when=asyncio.FIRST_COMPLETED)
        if not reply.done():
            raise describe_failure(f"channel lost: {self.lost.result()}")
        return reply.result()


class BrokerConnection:
    """An open connection; `lost` is done, with the reason, as soon as it is not."""

    def __init__(self, settings: RabbitMQSettings, node: Node, name: str) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._opened: asyncio.Future[BaseException | None] = loop.create_future()
        with translate_amqp_errors():
            self._raw = AsyncioConnection(
                connection_parameters(settings, node, name),
                on_open_callback=lambda _connection: resolve(self._opened, None),
                on_open_error_callback=lambda _connection, error: self._fail(error),
                on_close_callback=lambda _connection, error: self._fail(error),
            )

    def _fail(self, error: BaseException) -> None:
        resolve(self._opened, error)
        resolve(self.lost, repr(error))

    @classmethod
    async def open(cls, settings: RabbitMQSettings, *, name: str) -> Self:
        """Connect to one of the nodes and log in.

        Raises:
            DependencyUnavailable: none let us in within `connect_timeout_s`.
        """

        async def log_in(node: Node) -> Self:
            connection = cls(settings, node, name)
            try:
                error = await connection._opened
            finally:
                if not connection._raw.is_open:
                    connection.abort()
            if error is not None:
                raise describe_failure(repr(error)) from error
            return connection

        turns = NodeTurns(settings.nodes)
        try:
            return await turns.connect(log_in, timeout_s=settings.connect_timeout_s)
        except TimeoutError as exc:
            raise DependencyUnavailable(detail="rabbitmq: no login in time") from exc

    @property
    def major_version(self) -> int:
        """The broker's major version."""
        properties = self._raw.server_properties or {}
        return int(str(properties.get("version", "0")).split(".")[0])

    def on_blocked(self, callback: Callable[[bool], None]) -> None:
        """Call back with True when the broker stops reading from us, with False when it goes on."""
        self._raw.add_on_connection_blocked_callback(lambda _connection, _frame: callback(True))
        self._raw.add_on_connection_unblocked_callback(lambda _connection, _frame: callback(False))

    async def open_channel(self) -> BrokerChannel:
        """Return a new channel of this connection."""
        opened: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
        with translate_amqp_errors():
            raw = self._raw.channel(on_open_callback=lambda channel: resolve(opened, channel))
        channel = BrokerChannel(raw)
        await asyncio.wait((opened, channel.lost), return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            raise describe_failure(f"no channel: {channel.lost.result()}")
        return channel

    async def close(self) -> None:
        """Close in good order after everything that was written; a broker that does not answer is dropped."""
        if self._raw.is_open:
            self._raw.close()
            await asyncio.wait((self.lost,), timeout=CLOSE_TIMEOUT_S)
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        if not self._raw.is_closed:
            # close() waits for the broker's answer, indefinitely if the broker is frozen, and pika
            # offers no other way out.
            self._raw._terminate_stream(AMQPConnectionError("dropped"))


def connection_parameters(
    settings: RabbitMQSettings, node: Node, name: str
) -> pika.ConnectionParameters:
    """Return how to reach one node of the broker; `name` is what its operator sees."""
    tls = pika.SSLOptions(settings.tls.make_context(), node.host) if settings.tls else None
    return pika.ConnectionParameters(
        host=node.host,
        port=node.port,
        ssl_options=tls,
        virtual_host=settings.virtual_host,
        credentials=pika.PlainCredentials(settings.user, settings.password.get_secret_value()),
        heartbeat=HEARTBEAT_S,
        socket_timeout=settings.connect_timeout_s,
        stack_timeout=settings.connect_timeout_s,
        client_properties={"connection_name": name},
    )


async def declare_queues(
    connection: BrokerConnection, channel: BrokerChannel, kinds: Sequence[str]
) -> None:
    """Make sure that each kind's queues exist as we need them: replicated, durable, in order.

    A consumed queue has a single active consumer. RabbitMQ 4 drops a message after 20 deliveries unless told
    otherwise; RabbitMQ 3 knows no limit by itself and refuses a negative one.
    """
    common: dict[str, object] = {"x-queue-type": "quorum"}
    if connection.major_version >= 4:
        common["x-delivery-limit"] = -1
    for kind in kinds:
        consumed = common | {"x-single-active-consumer": True}
        declare = channel.raw.queue_declare
        await channel.call(declare, kind, durable=True, arguments=consumed)
        await channel.call(declare, dead_queue(kind), durable=True, arguments=common)


async def wait_any(*futures: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    """Return when one of the futures is done, or after the time-out."""
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def keep_running(
    stop: asyncio.Event,
    session: Callable[[asyncio.Future[Any], Backoff], Awaitable[None]],
    *,
    role: str,
) -> None:
    """Run `session` again and again, with back-off after each end, until `stop` is set.

    It outlives every exception: a lost broker is logged once per outage, anything else with its traceback.

    Args:
        session: gets a future that is done when it shall end, and the back-off to reset once it got through.
        role: who speaks in the log.
    """
    backoff, endurance = Backoff(), Endurance(role)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not stopping.done():
            try:
                await session(stopping, backoff)
            except Exception as exc:  # noqa: BLE001 - the next session may succeed
                if backoff.is_fresh and isinstance(exc, DependencyUnavailable):
                    # It was connected since the last failure: this is another outage.
                    endurance = Endurance(role)
                endurance.report(exc)
            await wait_any(stopping, timeout_s=backoff.next_s())
    finally:
        stopping.cancel()
