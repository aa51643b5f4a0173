"""Six services whose answers a test sets, over real gRPC with the product's own interceptor."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pkg.rpc.admission import Admission
from pkg.rpc.interceptor import ErrorInterceptor
from pkg.rpc.many.servicer import serve_together
from pkg.uploads import UPLOAD_ACCEPTED
from protos import comment_pb2, favorite_pb2, message_pb2, relation_pb2, user_pb2, video_pb2

FILES: dict[str, FileDescriptor] = {
    "user": user_pb2.DESCRIPTOR,
    "video": video_pb2.DESCRIPTOR,
    "favorite": favorite_pb2.DESCRIPTOR,
    "comment": comment_pb2.DESCRIPTOR,
    "relation": relation_pb2.DESCRIPTOR,
    "message": message_pb2.DESCRIPTOR,
}
Answer = Message | Exception | Callable[[Any], Any]


class FakeServices:
    """Records what arrives; answers an empty success unless `answers` says otherwise."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.last_metadata: dict[str, dict[str, str]] = {}
        self.uploads: list[tuple[list[int], str]] = []  # sizes of the chunks, digest of the whole
        self.messages_to_push: asyncio.Queue[Message | Exception | None] = asyncio.Queue()
        self.push_ended = asyncio.Event()
        self.health = health.aio.HealthServicer()
        self._server = grpc.aio.server(interceptors=[ErrorInterceptor()])
        self.address = ""

    async def start(self) -> None:
        """Serve all six on a free port, healthy."""
        self._add_to_server(self._server)
        serve_together(
            self._server, self._add_to_server, Admission(max_calls=1000, max_streams=1000)
        )
        for file in FILES.values():
            (service,) = file.services_by_name.values()
            await self.health.set(service.full_name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    def _add_to_server(self, server: Any) -> None:
        for file in FILES.values():
            (service,) = file.services_by_name.values()
            handlers = {method.name: self._handler(method) for method in service.methods}
            server.add_registered_method_handlers(service.full_name, handlers)

    async def stop(self) -> None:
        """Stop at once."""
        await self._server.stop(None)

    def last(self, method: str) -> Any:
        """Return the last request to a method."""
        return self.requests[method][-1]

    def _handler(self, method: MethodDescriptor) -> "grpc.RpcMethodHandler[Any, Any]":
        request_class = GetMessageClass(method.input_type)
        reply_class = GetMessageClass(method.output_type)
        codec = {
            "request_deserializer": request_class.FromString,
            "response_serializer": reply_class.SerializeToString,
        }
        if method.name == "PublishAction":
            return grpc.stream_unary_rpc_method_handler(self._take_upload, **codec)  # type: ignore[arg-type]
        if method.name == "MessageStream":
            return grpc.unary_stream_rpc_method_handler(self._push, **codec)  # type: ignore[arg-type]

        async def answer(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
            self.requests[method.name].append(request)
            self.last_metadata[method.name] = {
                key: value
                for key, value in context.invocation_metadata() or ()
                if isinstance(value, str)
            }
            return await self._answer(method.name, request) or reply_class()

        return grpc.unary_unary_rpc_method_handler(answer, **codec)  # type: ignore[arg-type]

    async def _answer(self, method: str, request: Any) -> Any:
        answer = self.answers.get(method)
        if callable(answer):
            answer = await answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _take_upload(
        self,
        messages: AsyncIterator[video_pb2.PublishActionRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> Message:
        sizes: list[int] = []
        digest = sha256()
        first = None
        async for message in messages:
            if first is None:
                first = message
                await context.send_initial_metadata((UPLOAD_ACCEPTED,))
            if message.data:
                sizes.append(len(message.data))
                digest.update(message.data)
        self.requests["PublishAction"].append(first)
        self.uploads.append((sizes, digest.hexdigest()))
        reply: Message = await self._answer("PublishAction", None) or video_pb2.PublishActionReply(
            video_id=7
        )
        return reply

    async def _push(self, request: Message, _context: object) -> AsyncIterator[Message]:
        self.requests["MessageStream"].append(request)
        try:
            while (item := await self.messages_to_push.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.push_ended.set()


def list_methods() -> Iterator[MethodDescriptor]:
    """Yield every RPC of the six services."""
    for file in FILES.values():
        (service,) = file.services_by_name.values()
        yield from service.methods
