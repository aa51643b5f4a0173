"""Runs FavoriteService: the gRPC calls, the queue's consumer and the flush."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dal.db.users import require_user
from dal.db.videos import require_video
from dal.redis.clock import ActionClock
from dal.redis.pending import ActionStore
from dal.registers.lists import ActionLists
from dal.registers.model import Kind
from pkg.mq.publisher import Publisher
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from protos import favorite_pb2, favorite_pb2_grpc
from services.actions.consumer import make_consumer
from services.actions.flusher import make_scheduler
from services.actions.intake import ActionIntake, KnownTargets
from services.favorite.handler import FavoriteHandler
from services.favorite.settings import FavoriteProcessSettings
from services.foundation import open_foundation


@asynccontextmanager
async def compose(settings: FavoriteProcessSettings) -> AsyncIterator[Composition[FavoriteHandler]]:
    """Open what the service needs and put handler, consumer and jobs together."""
    async with open_foundation(settings) as base:
        publisher = Publisher(settings.rabbitmq, [Kind.FAVORITE.value], name="favorite")
        store = ActionStore(base.redis, Kind.FAVORITE)
        consumer = make_consumer(settings.rabbitmq, store, publisher)
        scheduler = make_scheduler(
            settings.favorite, rabbitmq=settings.rabbitmq, database=base.database, store=store
        )
        handler = FavoriteHandler(
            intake=ActionIntake(Kind.FAVORITE, ActionClock(base.redis), publisher),
            videos=KnownTargets(base.database, require_video),
            users=KnownTargets(base.database, require_user),
            lists=ActionLists(base.database, base.overlay),
            presenter=base.make_presenter(),
            verifier=base.verifier,
        )
        yield Composition(
            handler,
            background=[base.database.check_replicas, publisher.run, consumer.run, scheduler.run],
        )


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            file=favorite_pb2.DESCRIPTOR,
            add_to_server=favorite_pb2_grpc.add_FavoriteServiceServicer_to_server,
            settings_class=FavoriteProcessSettings,
            compose=compose,
        )
    )
