"""Runs FavoriteService: the gRPC calls, the queue's consumer and the flush."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dal.db.engine import open_database
from dal.db.users import require_user
from dal.db.videos import require_video
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
from protos import favorite_pb2, favorite_pb2_grpc
from services.actions.consumer import make_consumer
from services.actions.flusher import make_scheduler
from services.actions.intake import ActionIntake, KnownTargets
from services.favorite.handler import FavoriteHandler
from services.favorite.settings import FavoriteProcessSettings
from services.presenters import Presenter


@asynccontextmanager
async def compose(settings: FavoriteProcessSettings) -> AsyncIterator[Composition]:
    """Open what the service needs and put handler, consumer and jobs together."""
    verifier = TokenVerifier(settings.token)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings.mysql))
        redis = await stack.enter_async_context(open_redis(settings.redis_actions))
        publisher = Publisher(settings.rabbitmq, [Kind.FAVORITE.value], name="favorite")
        store = ActionStore(redis, Kind.FAVORITE)
        consumer = make_consumer(settings.rabbitmq, store, publisher)
        scheduler = make_scheduler(
            settings.favorite, rabbitmq=settings.rabbitmq, database=database, store=store
        )
        overlay = Overlay(redis)
        handler = FavoriteHandler(
            intake=ActionIntake(Kind.FAVORITE, ActionClock(redis), publisher),
            videos=KnownTargets(database, require_video),
            users=KnownTargets(database, require_user),
            lists=ActionLists(database, overlay),
            presenter=Presenter(database, ViewerFlags(database, overlay)),
            verifier=verifier,
        )
        yield Composition(
            add_to_server=lambda server: favorite_pb2_grpc.add_FavoriteServiceServicer_to_server(
                handler, server
            ),
            background=[database.check_replicas, publisher.run, consumer.run, scheduler.run],
        )


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            name="favorite",
            descriptor=favorite_pb2.DESCRIPTOR.services_by_name["FavoriteService"],
            settings_class=FavoriteProcessSettings,
            compose=compose,
        )
    )
