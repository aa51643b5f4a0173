"""Runs MessageService."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dal.redis.chat import ChatMarks
from dal.registers.lists import RegisterLists
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from protos import message_pb2, message_pb2_grpc
from services.foundation import open_foundation
from services.message.chat import Chat
from services.message.handler import MessageHandler
from services.message.settings import MessageProcessSettings
from services.message_texts import MessageTexts


@asynccontextmanager
async def compose(settings: MessageProcessSettings) -> AsyncIterator[Composition[MessageHandler]]:
    """Open what the service needs and put its handler together."""
    async with open_foundation(settings) as base:
        marks = ChatMarks(base.redis, stale_mark_s=settings.message.stale_mark_s)
        await marks.name_life()
        handler = MessageHandler(
            chat=Chat(base.database, marks),
            texts=MessageTexts(base.database, settings.crypt),
            lists=RegisterLists(base.database, base.overlay),
            viewers=base.viewers,
            settings=settings.message,
        )
        yield Composition(handler, background=base.background)


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            file=message_pb2.DESCRIPTOR,
            add_to_server=message_pb2_grpc.add_MessageServiceServicer_to_server,
            settings_class=MessageProcessSettings,
            compose=compose,
        )
    )
