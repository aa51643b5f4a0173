"""Runs MessageService."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dal.db.engine import open_database
from dal.redis.chat import ChatMarks
from dal.redis.client import open_redis
from dal.redis.overlay import Overlay
from dal.registers.lists import ActionLists
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from pkg.token import TokenVerifier
from protos import message_pb2, message_pb2_grpc
from services.message.chat import Chat
from services.message.handler import MessageHandler
from services.message.settings import MessageProcessSettings
from services.message_texts import MessageTexts


@asynccontextmanager
async def compose(settings: MessageProcessSettings) -> AsyncIterator[Composition]:
    """Open what the service needs and put its handler together."""
    verifier = TokenVerifier(settings.token)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings.mysql))
        redis = await stack.enter_async_context(open_redis(settings.redis_actions))
        marks = ChatMarks(redis, stale_mark_s=settings.message.stale_mark_s)
        handler = MessageHandler(
            chat=Chat(database, marks),
            texts=MessageTexts(database, settings.crypt),
            lists=ActionLists(database, Overlay(redis)),
            verifier=verifier,
            settings=settings.message,
        )
        yield Composition(
            add_to_server=lambda server: message_pb2_grpc.add_MessageServiceServicer_to_server(
                handler, server
            ),
            background=[database.check_replicas],
        )


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            name="message",
            descriptor=message_pb2.DESCRIPTOR.services_by_name["MessageService"],
            settings_class=MessageProcessSettings,
            compose=compose,
        )
    )
