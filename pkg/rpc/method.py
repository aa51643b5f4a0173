"""A unary RPC as the gateway calls it: together with others on a line to an instance, or by itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor

from pkg import log
from pkg.rpc.many.lines import Lines, NotCarried
from pkg.rpc.metadata import own_metadata, with_trace
from pkg.rpc.status import decode_error


@dataclass(frozen=True, slots=True)
class RawReply:
    """A reply as it travels, and which message it is."""

    type: Descriptor
    content: bytes


class Method:
    """What a stub holds for a unary RPC; `pkg.rpc.client.call` calls it.

    Args:
        path: with its service, "/dousheng.UserService/Login".
        lines: the lines to the instances, or None where each call travels by itself.
        is_repeatable: whether the call may be sent twice.
    """

    def __init__(
        self,
        path: str,
        channel: grpc.aio.Channel,
        lines: Lines | None,
        *,
        serialize: Callable[[Any], bytes],
        parse: Callable[[bytes], Any],
        is_repeatable: bool,
    ) -> None:
        self.name = path.rpartition("/")[2]
        self.reply_type = _find_reply_type(path)
        self.serialize = serialize
        self.parse = parse
        self._path = path
        self._lines = lines
        self._is_repeatable = is_repeatable
        self._unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)

    async def send(self, request: bytes, *, timeout_s: float, metadata: Mapping[str, str]) -> bytes:
        """Return the reply to a request, both as they travel.

        Raises:
            DomainError: what the service raised, or DependencyUnavailable or DeadlineExceeded.
        """
        if self._lines is not None:
            request_id = log.request_id.get()
            try:
                return await self._lines.call(
                    self._path,
                    request,
                    timeout_s=timeout_s,
                    request_id=request_id,
                    metadata=with_trace(request_id, self.name, metadata),
                    is_repeatable=self._is_repeatable,
                )
            except NotCarried:
                pass  # The instances are older: they know the RPC by itself.
        try:
            return await self._unary(
                request, timeout=timeout_s, metadata=own_metadata(self.name, metadata)
            )
        except grpc.aio.AioRpcError as exc:
            raise decode_error(exc) from exc


class MethodChannel:
    """Takes the place of a channel where a stub is made, so that its unary methods become `Method`s."""

    def __init__(
        self, channel: grpc.aio.Channel, lines: Lines | None, *, unrepeatable: frozenset[str]
    ) -> None:
        self._lines = lines
        self._channel = channel
        self._unrepeatable = unrepeatable
        # Streams and uploads have a call of their own anyway.
        self.unary_stream = channel.unary_stream
        self.stream_unary = channel.stream_unary
        self.stream_stream = channel.stream_stream

    def unary_unary(
        self,
        path: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_registered: object,
    ) -> Method:
        """Return a unary method."""
        return Method(
            path,
            self._channel,
            self._lines,
            serialize=request_serializer,
            parse=response_deserializer,
            is_repeatable=path.rpartition("/")[2] not in self._unrepeatable,
        )


def _find_reply_type(path: str) -> Descriptor:
    name = path.lstrip("/").replace("/", ".")
    return descriptor_pool.Default().FindMethodByName(name).output_type
