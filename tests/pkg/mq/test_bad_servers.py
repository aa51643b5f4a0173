"""RabbitMQ behind something that accepts and fails, and one that refuses us."""

import time
import uuid
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable
from pkg.mq.connection import BrokerConnection, RabbitMQSettings
from pkg.mq.publisher import Publisher
from pkg.nodes import parse_node
from tests.bad_servers import BAD, BadServer, Behaviour, bad_server_before, on_uvloop
from tests.eventually import eventually
from tests.pkg.mq.broker import Recorder, make_consumer, publish_until_accepted, running

CONFIRM_S, CONNECT_S = 0.5, 1.0


@pytest.fixture
def proxied(servers, settings) -> Iterator[tuple[BadServer, "Proxied"]]:
    servers.wait_ready("rabbitmq")
    with bad_server_before(parse_node(settings.rabbitmq.nodes[0]).port) as bad:
        changes = {
            "nodes": [f"127.0.0.1:{bad.port}"],
            "confirm_timeout_s": CONFIRM_S,
            "connect_timeout_s": CONNECT_S,
        }
        yield bad, Proxied(settings.rabbitmq.model_copy(update=changes))


class Proxied:
    """A broker as the tests' consumers know it."""

    def __init__(self, settings: RabbitMQSettings) -> None:
        self.settings = settings


@pytest.mark.parametrize("behaviour", BAD)
@on_uvloop
async def test_publisher_and_consumer_outlive_a_broker_that_turns_bad(proxied, behaviour):
    bad, broker = proxied
    kind = f"test-{uuid.uuid4().hex}"
    publisher = Publisher(broker.settings, [kind], name="test")
    received = Recorder()
    async with running(publisher, make_consumer(broker, kind, received, publisher)):
        await publish_until_accepted(publisher, kind, b"before")
        await eventually(lambda: received.bodies[-1:] == [b"before"])
        bad.turn(behaviour)

        for _ in range(4):
            began = time.monotonic()
            with pytest.raises((DependencyUnavailable, DeadlineExceeded)):
                await publisher.publish(kind, b"lost")
            assert time.monotonic() - began < CONFIRM_S + 0.5

        await eventually(lambda: bad.refused > 1)
        bad.turn(Behaviour.GOOD)
        await publish_until_accepted(publisher, kind, b"after")
        await eventually(lambda: b"after" in received.bodies)


@pytest.mark.parametrize("behaviour", BAD)
@on_uvloop
async def test_connecting_to_a_bad_broker_ends_in_time(proxied, behaviour):
    bad, broker = proxied
    bad.turn(behaviour)

    began = time.monotonic()
    with pytest.raises(DependencyUnavailable):
        await BrokerConnection.open(broker.settings, name="test")

    assert time.monotonic() - began < CONNECT_S + 0.5


@on_uvloop
async def test_nodes_that_are_down_or_hang_leave_time_for_the_one_that_answers(proxied, settings):
    bad, broker = proxied
    bad.turn(Behaviour.SILENT)
    nodes = ("127.0.0.1:1", *broker.settings.nodes, *settings.rabbitmq.nodes)
    several = {"nodes": nodes, "connect_timeout_s": 3 * CONNECT_S}

    connection = await BrokerConnection.open(
        broker.settings.model_copy(update=several), name="test"
    )

    await connection.close()


@pytest.mark.parametrize(
    "changes", [{"password": SecretStr("wrong")}, {"virtual_host": "nowhere"}], ids=str
)
async def test_a_broker_that_does_not_let_us_in_refuses(broker, changes):
    with pytest.raises(DependencyRefused):
        await BrokerConnection.open(broker.settings.model_copy(update=changes), name="test")


async def test_a_queue_that_was_declared_differently_is_a_refusal_that_the_log_tells(
    broker, kind, logged
):
    connection = await BrokerConnection.open(broker.settings, name="test")
    channel = await connection.open_channel()
    await channel.call(channel.raw.queue_declare, kind, durable=True)
    await connection.close()

    async with running(Publisher(broker.settings, [kind], name="test")):
        await eventually(lambda: any("inequivalent arg" in line for line in logged))

    assert any(line.startswith("ERROR server refuses us") for line in logged)
