"""Runs RelationService: the gRPC calls, the queue's consumer and the flush."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dal.db.engine import open_database
from dal.db.users import require_user
from dal.redis.client import open_redis
from dal.redis.clock import ActionClock
from dal.redis.overlay import Overlay
from dal.redis.pending import ActionStore
from dal.registers.flags import ViewerFlags
from dal.registers.lists import ActionLists
from dal.registers.model import Kind
from pkg.mq.publisher import Publisher
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from pkg.token import TokenVerifier
from protos import relation_pb2, relation_pb2_grpc
from services.actions.consumer import make_consumer
from services.actions.flusher import make_scheduler
from services.actions.intake import ActionIntake, KnownTargets
from services.message_texts import MessageTexts
from services.presenters import Presenter
from services.relation.handler import RelationHandler
from services.relation.settings import RelationProcessSettings


@asynccontextmanager
async def compose(settings: RelationProcessSettings) -> AsyncIterator[Composition]:
    """Open what the service needs and put handler, consumer and jobs together."""
    verifier = TokenVerifier(settings.token)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings.mysql))
        redis = await stack.enter_async_context(open_redis(settings.redis_actions))
        publisher = Publisher(settings.rabbitmq, [Kind.RELATION.value], name="relation")
        store = ActionStore(redis, Kind.RELATION)
        consumer = make_consumer(settings.rabbitmq, store, publisher)
        scheduler = make_scheduler(
            settings.relation, rabbitmq=settings.rabbitmq, database=database, store=store
        )
        overlay = Overlay(redis)
        handler = RelationHandler(
            intake=ActionIntake(Kind.RELATION, ActionClock(redis), publisher),
            users=KnownTargets(database, require_user),
            lists=ActionLists(database, overlay),
            presenter=Presenter(database, ViewerFlags(database, overlay)),
            texts=MessageTexts(database, settings.crypt),
            verifier=verifier,
        )
        yield Composition(
            add_to_server=lambda server: relation_pb2_grpc.add_RelationServiceServicer_to_server(
                handler, server
            ),
            background=[database.check_replicas, publisher.run, consumer.run, scheduler.run],
        )


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            name="relation",
            descriptor=relation_pb2.DESCRIPTOR.services_by_name["RelationService"],
            settings_class=RelationProcessSettings,
            compose=compose,
        )
    )
