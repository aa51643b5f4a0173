"""The broker, a kind of message of the test's own, and a publisher of it."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from pkg.mq.publisher import Publisher
from scripts.stack import Stack
from tests.conftest import AllSettings
from tests.pkg.mq.broker import Broker, open_publisher


@pytest.fixture
def broker(servers: Stack, settings: AllSettings) -> Iterator[Broker]:
    servers.wait_ready("rabbitmq")
    quick = settings.rabbitmq.model_copy(
        update={"confirm_timeout_s": 1.0, "connect_timeout_s": 2.0}
    )
    yield Broker(servers, quick)
    servers.wait_ready("rabbitmq")


@pytest.fixture
def kind() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
async def publisher(broker, kind: str) -> AsyncIterator[Publisher]:
    async with open_publisher(broker, kind) as publisher:
        yield publisher
