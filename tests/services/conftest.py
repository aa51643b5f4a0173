"""Tokens, issued and verified as the services do it, and phones that talk to the user and the message service."""

from collections.abc import AsyncIterator

import grpc
import pytest
from redis.asyncio import Redis

from dal.db.engine import Database
from pkg.token import TokenIssuer, TokenVerifier
from protos import message_pb2_grpc
from tests.accounts import UserFactory
from tests.chat import MakePhone, Phone, befriend, make_handler, make_settings
from tests.conftest import AllSettings
from tests.services.user_phones import OpenPhone, make_opener
from tests.serving import serving


@pytest.fixture
def issuer(settings) -> TokenIssuer:
    return TokenIssuer(settings.token)


@pytest.fixture
def verifier(settings) -> TokenVerifier:
    return TokenVerifier(settings.token)


@pytest.fixture
def open_phone(settings) -> OpenPhone:
    """Run the user service, with limits as told, and give a phone that talks to it."""
    return make_opener(settings)


@pytest.fixture
async def channel(
    request: pytest.FixtureRequest,
    settings: AllSettings,
    *,
    database: Database,
    actions_redis: Redis,
) -> AsyncIterator[grpc.aio.Channel]:
    own = make_settings(who_may_write=getattr(request, "param", "following"))
    handler = make_handler(settings, database, actions_redis, own)

    def add(server: grpc.aio.Server) -> None:
        message_pb2_grpc.add_MessageServiceServicer_to_server(handler, server)

    async with serving(add) as opened:
        yield opened


@pytest.fixture
def make_phone(settings: AllSettings, channel: grpc.aio.Channel) -> MakePhone:
    stub = message_pb2_grpc.MessageServiceStub(channel)
    issuer = TokenIssuer(settings.token)
    return lambda user_id, other_id: Phone(stub, issuer.issue(user_id), user_id, other_id)


@pytest.fixture
async def friends(
    database: Database, make_user: UserFactory, make_phone: MakePhone
) -> tuple[Phone, Phone]:
    first, second = await make_user(), await make_user()
    await befriend(database, (first, second))
    return make_phone(first, second), make_phone(second, first)
