"""An upload on its way through the gateway: from the client into a file without a name, then to the video service.

Without a name nothing of the file is left, whatever happens. An upload takes at most half a megabyte of memory.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import IO, TYPE_CHECKING

import grpc
from starlette.requests import ClientDisconnect, Request

from gateway.multipart import UploadForm
from gateway.settings import GatewaySettings
from pkg.errors import DeadlineExceeded, PayloadTooLarge
from pkg.rpc.client import observe_call
from pkg.rpc.metadata import own_metadata
from pkg.rpc.status import decode_error
from pkg.uploads import UPLOAD_ACCEPTED
from protos.video_pb2 import PublishActionReply, PublishActionRequest

if TYPE_CHECKING:
    from protos.video_pb2_grpc import VideoServiceAsyncStub

    UploadCall = grpc.aio.StreamUnaryCall[PublishActionRequest, PublishActionReply]

SPOOL_BYTES = 512 * 1024
CHUNK_BYTES = 256 * 1024
# Room for what a form holds beside its file: boundaries, headers, small fields.
FORM_OVERHEAD_BYTES = 1024 * 1024


class Pace:
    """Until when an upload may go on: each KiB buys time, of which `upload_idle_timeout_s` can be saved up.

    A phone may pause, or be slow; a client that trickles bytes cannot hold what others wait for.
    """

    def __init__(self, settings: GatewaySettings, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._saved_up_s = settings.upload_idle_timeout_s
        self._bytes_per_s = settings.upload_min_kb_per_s * 1024
        self._end_at = clock() + settings.upload_receive_timeout_s
        self._paid_until = clock() + self._saved_up_s

    @property
    def give_up_at(self) -> float:
        """When the upload is given up unless more of it comes."""
        return min(self._end_at, self._paid_until)

    def count(self, size: int) -> None:
        """Count bytes that have come."""
        paid_until = self._paid_until + size / self._bytes_per_s
        self._paid_until = min(paid_until, self._clock() + self._saved_up_s)


def expected_bytes(request: Request, max_video_bytes: int) -> int:
    """Return how many bytes the upload will bring, as far as its head tells.

    Raises:
        PayloadTooLarge: more than are allowed.
    """
    max_body_bytes = max_video_bytes + FORM_OVERHEAD_BYTES
    declared = int(request.headers.get("content-length", max_body_bytes))
    if declared > max_body_bytes:
        raise PayloadTooLarge
    return declared


async def receive_form(
    request: Request,
    file: IO[bytes],
    settings: GatewaySettings,
    *,
    max_video_bytes: int,
    on_token: Callable[[str], None],
) -> UploadForm:
    """Read the whole form, its video into `file`, and return its other fields.

    Args:
        on_token: called with the form's token as soon as it has arrived; may raise to end the upload.

    Raises:
        PayloadTooLarge: as soon as the limit is passed.
        InvalidParameter: the form is broken or lacks a field.
        DeadlineExceeded: the client pauses or takes too long.
    """
    max_body_bytes = max_video_bytes + FORM_OVERHEAD_BYTES
    form = UploadForm(request.headers.get("content-type", ""), max_video_bytes=max_video_bytes)
    token_passed_on = False
    received = 0
    async for chunk in _read_body(request, settings):
        received += len(chunk)
        if received > max_body_bytes:
            raise PayloadTooLarge
        form.feed(chunk)
        if not token_passed_on and form.token:
            on_token(form.token)
            token_passed_on = True
        if len(form.unsaved) >= SPOOL_BYTES:
            await asyncio.to_thread(file.write, form.take_unsaved())
    await asyncio.to_thread(file.write, form.take_unsaved())
    form.finish()
    return form


async def hand_over(
    stub: "VideoServiceAsyncStub",
    file: IO[bytes],
    form: UploadForm,
    *,
    token: str,
    timeout_s: float,
) -> PublishActionReply:
    """Stream a received upload to the video service and return its answer."""
    with observe_call("PublishAction") as outcome:
        call: UploadCall = stub.PublishAction(
            _messages(file, form, token, lambda: _is_accepted(call)),
            timeout=timeout_s,
            metadata=own_metadata("PublishAction"),
        )
        try:
            return await call
        except grpc.aio.AioRpcError as exc:
            outcome.code = exc.code()
            raise decode_error(exc) from exc


async def _read_body(request: Request, settings: GatewaySettings) -> AsyncIterator[bytes]:
    pace = Pace(settings, clock=asyncio.get_running_loop().time)
    more = True
    while more:
        try:
            async with asyncio.timeout_at(pace.give_up_at):
                message = await request.receive()
        except TimeoutError as exc:
            raise DeadlineExceeded(detail="upload too slow") from exc
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body = message.get("body", b"")
        pace.count(len(body))
        yield body
        more = message.get("more_body", False)


async def _messages(
    file: IO[bytes], form: UploadForm, token: str, is_accepted: Callable[[], Awaitable[bool]]
) -> AsyncIterator[PublishActionRequest]:
    file.seek(0)
    beginning = await asyncio.to_thread(file.read, CHUNK_BYTES)
    yield PublishActionRequest(token=token, title=form.title, size=form.video_bytes, data=beginning)
    # gRPC loses the reason of a refusal that arrives while we write: the rest waits until the beginning was accepted.
    if len(beginning) == form.video_bytes or not await is_accepted():
        return
    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield PublishActionRequest(data=chunk)


async def _is_accepted(call: "UploadCall") -> bool:
    """Wait until the beginning of the upload was accepted, or the call has ended."""
    if UPLOAD_ACCEPTED in tuple(await call.initial_metadata()):
        return True
    await call.code()
    return False
