"""Runs FavoriteService: the gRPC calls, the queue's consumer and the flush."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dal.db.users import require_user
from dal.db.videos import require_video
from dal.registers.lists import RegisterLists
from dal.registers.model import Kind
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from protos import favorite_pb2, favorite_pb2_grpc
from services.actions.intake import ExistenceCache
from services.actions.write_path import make_write_path
from services.favorite.handler import FavoriteHandler
from services.favorite.settings import FavoriteProcessSettings
from services.foundation import open_foundation


@asynccontextmanager
async def compose(settings: FavoriteProcessSettings) -> AsyncIterator[Composition[FavoriteHandler]]:
    """Open what the service needs and put handler, consumer and jobs together."""
    async with open_foundation(settings) as base:
        write_path = make_write_path(
            Kind.FAVORITE,
            base,
            targets=ExistenceCache(base.database, require_video),
            rabbitmq=settings.rabbitmq,
            flushing=settings.favorite,
        )
        handler = FavoriteHandler(
            intake=write_path.intake,
            users=ExistenceCache(base.database, require_user),
            lists=RegisterLists(base.database, base.overlay),
            presenter=base.make_presenter(),
            viewers=base.viewers,
        )
        yield Composition(handler, background=write_path.background)


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            file=favorite_pb2.DESCRIPTOR,
            add_to_server=favorite_pb2_grpc.add_FavoriteServiceServicer_to_server,
            settings_class=FavoriteProcessSettings,
            compose=compose,
        )
    )
