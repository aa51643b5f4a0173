"""The six services as the gateway calls them."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from google.protobuf.descriptor import FileDescriptor

from pkg.registry import EtcdSettings
from pkg.rpc.client import ServiceClient
from pkg.tls import TlsFiles
from protos import (
    comment_pb2,
    favorite_pb2,
    message_pb2,
    relation_pb2,
    user_pb2,
    video_pb2,
)
from protos.comment_pb2_grpc import CommentServiceStub
from protos.favorite_pb2_grpc import FavoriteServiceStub
from protos.message_pb2_grpc import MessageServiceStub
from protos.relation_pb2_grpc import RelationServiceStub
from protos.user_pb2_grpc import UserServiceStub
from protos.video_pb2_grpc import VideoServiceStub

if TYPE_CHECKING:
    from protos.comment_pb2_grpc import CommentServiceAsyncStub
    from protos.favorite_pb2_grpc import FavoriteServiceAsyncStub
    from protos.message_pb2_grpc import MessageServiceAsyncStub
    from protos.relation_pb2_grpc import RelationServiceAsyncStub
    from protos.user_pb2_grpc import UserServiceAsyncStub
    from protos.video_pb2_grpc import VideoServiceAsyncStub

StubT = TypeVar("StubT")

# Sent twice, these would make a second account, comment, message or video.
UNREPEATABLE = frozenset({"Register", "CommentAction", "MessageAction", "PublishAction"})

LONGEST_CALL_S = 5
# After this a client has to connect and show its token again; it continues with its last create_time.
STREAM_LIFETIME_S = 3600


@dataclass(frozen=True)
class Clients:
    """One client per service, named as the service's folder is."""

    user: "ServiceClient[UserServiceAsyncStub]"
    video: "ServiceClient[VideoServiceAsyncStub]"
    favorite: "ServiceClient[FavoriteServiceAsyncStub]"
    comment: "ServiceClient[CommentServiceAsyncStub]"
    relation: "ServiceClient[RelationServiceAsyncStub]"
    message: "ServiceClient[MessageServiceAsyncStub]"

    def named(self) -> Iterator[tuple[str, ServiceClient[Any]]]:
        """Yield every client with its name."""
        yield from vars(self).items()

    async def wait_known(self, *, at_most_s: float) -> None:
        """Wait until an instance of each is known, but not for ever: the services that are known can be used."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await asyncio.gather(*(client.wait_known() for _, client in self.named()))

    async def follow(self, settings: EtcdSettings) -> None:
        """Follow the registry for all of them until cancelled; one that dies ends the others."""
        async with asyncio.TaskGroup() as tasks:
            for _, client in self.named():
                tasks.create_task(client.follow(settings))


def make_clients(
    *, longest_upload_s: float, calls_together: bool, tls: TlsFiles | None = None
) -> Clients:
    """Return clients that know no instance yet.

    Args:
        longest_upload_s: how long the hand-over of the largest upload may go on, also on an instance that is replaced.
        calls_together: whether unary calls travel together, or each by itself.
        tls: how services prove who they are, and the gateway to them; None: plain text.
    """
    make = partial(_make_client, together=calls_together, tls=tls)
    return Clients(
        user=make(user_pb2.DESCRIPTOR, UserServiceStub),
        video=make(video_pb2.DESCRIPTOR, VideoServiceStub, longest_call_s=longest_upload_s),
        favorite=make(favorite_pb2.DESCRIPTOR, FavoriteServiceStub),
        comment=make(comment_pb2.DESCRIPTOR, CommentServiceStub),
        relation=make(relation_pb2.DESCRIPTOR, RelationServiceStub),
        message=make(message_pb2.DESCRIPTOR, MessageServiceStub, longest_call_s=STREAM_LIFETIME_S),
    )


def _make_client(
    file: FileDescriptor,
    make_stub: Callable[[grpc.aio.Channel], StubT],
    *,
    together: bool,
    tls: TlsFiles | None,
    longest_call_s: float = LONGEST_CALL_S,
) -> ServiceClient[StubT]:
    (service,) = file.services_by_name.values()
    return ServiceClient(
        service.full_name,
        make_stub,
        methods=[method.name for method in service.methods],
        unrepeatable=UNREPEATABLE,
        longest_call_s=longest_call_s,
        together=together,
        tls=tls,
    )
