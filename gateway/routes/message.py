"""Chat, by polling and by WebSocket."""

import asyncio
from typing import Annotated

import grpc
import orjson
from fastapi import APIRouter, Query, WebSocket
from starlette.responses import Response

from gateway import schemas
from gateway.authentication import RequiredViewer
from gateway.clients import STREAM_LIFETIME_S
from gateway.errors import describe_close
from gateway.middleware import address_of
from gateway.parameters import (
    Cursor,
    Limit,
    PreviousMessageTime,
    ProperText,
    SendAction,
    ToUserId,
)
from gateway.relay import relay
from gateway.replies import convert
from pkg.errors import BUSY, RateLimited
from pkg.rpc.metadata import own_metadata
from pkg.rpc.status import decode_error
from protos.message_pb2 import (
    Message,
    MessageActionRequest,
    MessageChatRequest,
    MessageStreamRequest,
)

router = APIRouter(prefix="/douyin/message", tags=["message"])

SERVICE_RESTART = 1012
MessageStream = grpc.aio.UnaryStreamCall[MessageStreamRequest, Message]


@router.get("/chat/", response_model=schemas.MessageListReply)
async def message_chat(  # noqa: PLR0917 - FastAPI passes parameters by name
    viewer: RequiredViewer,
    to_user_id: ToUserId,
    pre_msg_time: PreviousMessageTime = 0,
    limit: Limit = 0,
    cursor: Cursor = "",
) -> Response:
    """Open a chat and go back in it page by page (`pre_msg_time` 0), or poll for what the other person wrote since.

    A page holds its messages oldest first. A poll looks neither at `limit` nor at `cursor`.
    """
    request = MessageChatRequest(
        token=viewer.token,
        to_user_id=to_user_id,
        pre_msg_time=pre_msg_time,
        limit=limit,
        cursor=cursor,
    )
    return await relay(viewer, viewer.clients.message.stub.MessageChat, request)


@router.post("/action/", response_model=schemas.Envelope, dependencies=[ProperText])
async def message_action(
    viewer: RequiredViewer,
    to_user_id: ToUserId,
    action_type: SendAction,
    content: Annotated[str, Query(description="1 to 1,000 characters, kept as sent.")],
) -> Response:
    """Send a message to a friend."""
    request = MessageActionRequest(
        token=viewer.token, to_user_id=to_user_id, action_type=action_type, content=content
    )
    return await relay(viewer, viewer.clients.message.stub.MessageAction, request)


@router.websocket("/ws/")
async def push(
    websocket: WebSocket,
    viewer: RequiredViewer,
    to_user_id: ToUserId,
    pre_msg_time: PreviousMessageTime = 0,
) -> None:
    """Send every new message of a conversation as it becomes visible, one object per frame."""
    request = MessageStreamRequest(
        token=viewer.token, to_user_id=to_user_id, pre_msg_time=pre_msg_time
    )
    wanted_by_others = asyncio.Event()
    sockets, address = viewer.state.slots.sockets, address_of(websocket.scope)
    with sockets.take(viewer.user_id, address, wanted_by_others.set):
        stream = viewer.clients.message.stub.MessageStream(
            request,
            timeout=STREAM_LIFETIME_S,
            metadata=own_metadata(),
        )
        await websocket.accept()
        await _push_until_gone(websocket, stream, wanted_by_others)


async def _push_until_gone(
    websocket: WebSocket, stream: MessageStream, wanted_by_others: asyncio.Event
) -> None:
    tasks = {
        asyncio.create_task(_send_all(websocket, stream)),
        asyncio.create_task(_wait_until_gone(websocket)),
        asyncio.create_task(_give_way(websocket, wanted_by_others)),
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stream.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _send_all(websocket: WebSocket, stream: MessageStream) -> None:
    code, reason = SERVICE_RESTART, ""
    try:
        async for message in stream:
            await websocket.send_text(orjson.dumps(convert(message, media_base="")).decode())
    except grpc.aio.AioRpcError as exc:
        code, reason = describe_close(decode_error(exc))
    except asyncio.CancelledError:
        # A stream whose channel was closed raises this too; then this task itself was not cancelled.
        if _is_cancelled_itself():
            raise
    await websocket.close(code, reason)


def _is_cancelled_itself() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _give_way(websocket: WebSocket, wanted_by_others: asyncio.Event) -> None:
    await wanted_by_others.wait()
    code, reason = describe_close(RateLimited(BUSY))
    await websocket.close(code, reason)


async def _wait_until_gone(websocket: WebSocket) -> None:
    # Reading is the only way to see pings and the end of the connection; what the client sends is ignored.
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
