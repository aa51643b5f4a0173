"""Runs CommentService."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pkg.rpc.server import Composition, ServiceDefinition, run_service
from protos import comment_pb2, comment_pb2_grpc
from services.comment.comments import Comments
from services.comment.handler import CommentHandler
from services.comment.lists import CommentLists
from services.comment.settings import CommentProcessSettings
from services.foundation import open_foundation


@asynccontextmanager
async def compose(settings: CommentProcessSettings) -> AsyncIterator[Composition[CommentHandler]]:
    """Open what the service needs and put its handler together."""
    async with open_foundation(settings) as base:
        lists = CommentLists(
            base.database,
            base.make_presenter(),
            settings.comment.display_time_zone,
            base.watch,
        )
        comments = Comments(base.database, base.changes, lists)
        handler = CommentHandler(comments=comments, lists=lists, viewers=base.viewers)
        yield Composition(handler, background=base.background)


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            file=comment_pb2.DESCRIPTOR,
            add_to_server=comment_pb2_grpc.add_CommentServiceServicer_to_server,
            settings_class=CommentProcessSettings,
            compose=compose,
        )
    )
