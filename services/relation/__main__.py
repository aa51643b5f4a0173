"""Runs RelationService: the gRPC calls, the queue's consumer and the flush."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dal.db.users import require_user
from dal.redis.clock import VersionClock
from dal.redis.pending import PendingActions
from dal.registers.lists import RegisterLists
from dal.registers.model import Kind
from pkg.mq.publisher import Publisher
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from protos import relation_pb2, relation_pb2_grpc
from services.actions.consumer import make_consumer
from services.actions.flusher import make_scheduler
from services.actions.intake import ActionIntake, ExistenceCache
from services.foundation import open_foundation
from services.message_texts import MessageTexts
from services.relation.handler import RelationHandler
from services.relation.settings import RelationProcessSettings


@asynccontextmanager
async def compose(settings: RelationProcessSettings) -> AsyncIterator[Composition[RelationHandler]]:
    """Open what the service needs and put handler, consumer and jobs together."""
    async with open_foundation(settings) as base:
        publisher = Publisher(settings.rabbitmq, [Kind.RELATION.value], name="relation")
        pending = PendingActions(base.redis, Kind.RELATION)
        consumer = make_consumer(settings.rabbitmq, pending, publisher)
        scheduler = make_scheduler(
            settings.relation, rabbitmq=settings.rabbitmq, database=base.database, pending=pending
        )
        users = ExistenceCache(base.database, require_user)
        handler = RelationHandler(
            intake=ActionIntake(
                Kind.RELATION, targets=users, clock=VersionClock(base.redis), publisher=publisher
            ),
            users=users,
            lists=RegisterLists(base.database, base.overlay),
            presenter=base.make_presenter(),
            texts=MessageTexts(base.database, settings.crypt),
            verifier=base.verifier,
        )
        yield Composition(
            handler,
            background=[base.database.check_replicas, publisher.run, consumer.run, scheduler.run],
        )


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            file=relation_pb2.DESCRIPTOR,
            add_to_server=relation_pb2_grpc.add_RelationServiceServicer_to_server,
            settings_class=RelationProcessSettings,
            compose=compose,
        )
    )
