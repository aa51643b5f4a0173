"""Runs RelationService: the gRPC calls, the queue's consumer and the flush."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dal.db.users import require_user
from dal.registers.lists import RegisterLists
from dal.registers.model import Kind
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from protos import relation_pb2, relation_pb2_grpc
from services.actions.intake import ExistenceCache
from services.actions.write_path import make_write_path
from services.foundation import open_foundation
from services.message_texts import MessageTexts
from services.relation.handler import RelationHandler
from services.relation.settings import RelationProcessSettings


@asynccontextmanager
async def compose(settings: RelationProcessSettings) -> AsyncIterator[Composition[RelationHandler]]:
    """Open what the service needs and put handler, consumer and jobs together."""
    async with open_foundation(settings) as base:
        users = ExistenceCache(base.database, require_user)
        write_path = make_write_path(
            Kind.RELATION,
            base,
            targets=users,
            rabbitmq=settings.rabbitmq,
            flushing=settings.relation,
        )
        handler = RelationHandler(
            intake=write_path.intake,
            users=users,
            lists=RegisterLists(base.database, base.overlay),
            presenter=base.make_presenter(),
            texts=MessageTexts(base.database, settings.crypt),
            viewers=base.viewers,
        )
        yield Composition(handler, background=write_path.background)


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            file=relation_pb2.DESCRIPTOR,
            add_to_server=relation_pb2_grpc.add_RelationServiceServicer_to_server,
            settings_class=RelationProcessSettings,
            compose=compose,
        )
    )
