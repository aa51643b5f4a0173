"""Runs FavoriteService: the gRPC calls, the queue's consumer and the flush."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dal.db.users import require_user
from dal.db.videos import require_video
from dal.redis.clock import VersionClock
from dal.redis.pending import PendingActions
from dal.registers.lists import RegisterLists
from dal.registers.model import Kind
from pkg.mq.publisher import Publisher
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from protos import favorite_pb2, favorite_pb2_grpc
from services.actions.consumer import make_consumer
from services.actions.flusher import make_scheduler
from services.actions.intake import ActionIntake, ExistenceCache
from services.favorite.handler import FavoriteHandler
from services.favorite.settings import FavoriteProcessSettings
from services.foundation import open_foundation


@asynccontextmanager
async def compose(settings: FavoriteProcessSettings) -> AsyncIterator[Composition[FavoriteHandler]]:
    """Open what the service needs and put handler, consumer and jobs together."""
    async with open_foundation(settings) as base:
        publisher = Publisher(settings.rabbitmq, [Kind.FAVORITE.value], name="favorite")
        pending = PendingActions(base.redis, Kind.FAVORITE)
        consumer = make_consumer(settings.rabbitmq, pending, publisher)
        scheduler = make_scheduler(
            settings.favorite, rabbitmq=settings.rabbitmq, database=base.database, pending=pending
        )
        handler = FavoriteHandler(
            intake=ActionIntake(
                Kind.FAVORITE,
                targets=ExistenceCache(base.database, require_video),
                clock=VersionClock(base.redis),
                publisher=publisher,
            ),
            users=ExistenceCache(base.database, require_user),
            lists=RegisterLists(base.database, base.overlay),
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
