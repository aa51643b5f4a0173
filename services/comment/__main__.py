"""Runs CommentService."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dal.db.engine import open_database
from dal.redis.client import open_redis
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from pkg.token import TokenVerifier
from protos import comment_pb2, comment_pb2_grpc
from services.comment.comments import Comments
from services.comment.handler import CommentHandler
from services.comment.settings import CommentProcessSettings
from services.presenters import Presenter


@asynccontextmanager
async def compose(settings: CommentProcessSettings) -> AsyncIterator[Composition]:
    """Open what the service needs and put its handler together."""
    verifier = TokenVerifier(settings.token)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings.mysql))
        redis = await stack.enter_async_context(open_redis(settings.redis_actions))
        presenter = Presenter(database, ViewerFlags(database, Overlay(redis)))
        comments = Comments(database, presenter, settings.comment.display_time_zone)
        handler = CommentHandler(comments=comments, verifier=verifier)
        yield Composition(
            add_to_server=lambda server: comment_pb2_grpc.add_CommentServiceServicer_to_server(
                handler, server
            ),
            background=[database.check_replicas],
        )


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            name="comment",
            descriptor=comment_pb2.DESCRIPTOR.services_by_name["CommentService"],
            settings_class=CommentProcessSettings,
            compose=compose,
        )
    )
