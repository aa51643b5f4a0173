"""People of the original use the product: the real services, on the database that was taken over."""

import pytest
from redis.asyncio import Redis

from dal.db.engine import Database
from pkg.errors import UserNotFound, WrongCredentials
from pkg.token import TokenIssuer
from protos import message_pb2_grpc
from services.message_texts import UNREADABLE
from tests.chat import Phone, make_handler
from tests.conftest import AllSettings
from tests.operator.takeover.conftest import Taken
from tests.operator.takeover.dirt import ALICE, BOB, LONG, SPACES, UPPER
from tests.services.user_phones import make_opener, outcome
from tests.serving import serving


async def test_they_log_in_with_their_passwords_and_again(settings: AllSettings, taken: Taken):
    open_phone = make_opener(settings.model_copy(update={"mysql": taken.mysql}))

    async with open_phone() as phone:
        # The second time with a hash of ours alone.
        for _ in range(2):
            assert await phone.login("alice", "alice's") == ALICE
        assert await phone.login("frank", "secret") == UPPER
        assert await phone.login("e\u0301ve", "secret") == SPACES
        assert await phone.login("x" * 30 + "_6", "secret") == LONG
        for name, password in (
            ("alice", "secret"),
            # Deleted, without a password of ours, and with the hash itself.
            ("carol", "secret"),
            ("dora", "open"),
            ("bob", "5ebe2294ecd0e0f08eab7690d2a6ee69"),  # pragma: allowlist secret
        ):
            assert await outcome(phone.login(name, password)) is WrongCredentials
        assert (await phone.info(ALICE)).total_favorited == 4
        with pytest.raises(UserNotFound):
            await phone.info(3)


async def test_they_read_their_messages_and_go_on_writing(
    settings: AllSettings, result: Database, actions_redis: Redis
):
    handler = make_handler(settings, result, actions_redis)
    issuer = TokenIssuer(settings.token)

    async with serving(
        lambda server: message_pb2_grpc.add_MessageServiceServicer_to_server(handler, server)
    ) as channel:
        stub = message_pb2_grpc.MessageServiceStub(channel)
        alice = Phone(stub, issuer.issue(ALICE), ALICE, BOB)
        bob = Phone(stub, issuer.issue(BOB), BOB, ALICE)
        texts = [message.content for message in await bob.read()]
        await alice.send("and now here")
        newest = (await bob.read())[-1]

    assert texts == ["before there was a key", "你好", "hello 😀", UNREADABLE]
    assert newest.content == "and now here"
