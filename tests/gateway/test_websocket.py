"""Messages pushed over a WebSocket."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway import server
from pkg import errors
from pkg.settings import DEFAULT_CONFIG_DIR, read_section
from pkg.token import TokenIssuer
from protos.message_pb2 import Message
from tests.eventually import eventually
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.fakes import FakeServices


def ws_url(gateway: RunningGateway, query: str, path: str = "/douyin/message/ws") -> str:
    return f"ws://127.0.0.1:{gateway.port}{path}?{query}"


async def test_each_message_is_one_frame_with_every_field(
    gateway: RunningGateway, services: FakeServices, token: str
) -> None:
    query = f"token={token}&to_user_id=5&pre_msg_time=123"
    for path in ("/douyin/message/ws", "/douyin/message/ws/"):
        async with connect(ws_url(gateway, query, path)) as socket:
            await services.messages_to_push.put(Message(id=2**53 - 1, content="你好😀"))
            frame = await socket.recv()

        assert isinstance(frame, str)
        assert json.loads(frame) == {
            "id": 2**53 - 1,
            "to_user_id": 0,
            "from_user_id": 0,
            "content": "你好😀",
            "create_time": 0,
        }
    request = services.last("MessageStream")
    assert (request.token, request.to_user_id, request.pre_msg_time) == (token, 5, 123)


async def test_the_token_may_come_in_the_header_and_the_request_id_comes_back(
    gateway: RunningGateway, services: FakeServices, token: str
) -> None:
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "ws-1"}
    async with connect(ws_url(gateway, "to_user_id=5"), additional_headers=headers) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"] == "ws-1"
        await services.messages_to_push.put(Message())
        await socket.recv()

    assert services.last("MessageStream").token == token


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        ("/douyin/message/ws", "to_user_id=5", errors.Unauthenticated),
        ("/douyin/message/ws", "to_user_id=5&token=junk", errors.Unauthenticated),
        ("/douyin/message/ws", "token={token}", errors.InvalidParameter),
        ("/douyin/message/ws", "token={token}&to_user_id=x", errors.InvalidParameter),
        ("/douyin/feed", "", errors.RouteNotFound),
        ("/nope", "", errors.RouteNotFound),
    ],
)
async def test_a_handshake_that_is_refused_says_why_in_the_envelope(  # noqa: PLR0917
    gateway: RunningGateway, token: str, path: str, query: str, error: type[errors.DomainError]
) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(ws_url(gateway, query.format(token=token), path)).__aenter__()

    response = refusal.value.response
    assert response.status_code == error.http_status
    assert json.loads(response.body)["status_code"] == error.status_code


async def test_a_service_that_is_down_refuses_the_handshake_with_503(
    start_gateway: StartGateway, token: str
) -> None:
    async with start_gateway(reachable=False) as gateway:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(ws_url(gateway, f"token={token}&to_user_id=5")).__aenter__()

    assert refusal.value.response.status_code == 503


@pytest.mark.parametrize(
    ("end", "code", "reason"),
    [
        (errors.RateLimited(), 1013, errors.RateLimited.default_message),
        (errors.DependencyUnavailable(), 1013, errors.DependencyUnavailable.default_message),
        (errors.UserNotFound(), 1011, errors.UserNotFound.default_message),
        (RuntimeError("secret"), 1011, errors.InternalError.default_message),
        (None, 1012, ""),
    ],
)
async def test_the_end_of_the_stream_closes_the_socket_with_its_reason(  # noqa: PLR0917
    gateway: RunningGateway,
    services: FakeServices,
    token: str,
    end: Exception | None,
    code: int,
    reason: str,
) -> None:
    async with connect(ws_url(gateway, f"token={token}&to_user_id=5")) as socket:
        await services.messages_to_push.put(end)
        with pytest.raises(ConnectionClosed):
            await socket.recv()

    assert (socket.close_code, socket.close_reason) == (code, reason)


async def test_a_client_that_leaves_ends_the_call(
    gateway: RunningGateway, services: FakeServices, token: str
) -> None:
    async with connect(ws_url(gateway, f"token={token}&to_user_id=5")) as socket:
        await services.messages_to_push.put(Message(id=1))
        await socket.recv()
        await socket.send("whatever a client says is ignored")

    async with asyncio.timeout(5):
        await services.push_ended.wait()


async def test_a_client_that_does_not_read_is_dropped(
    gateway: RunningGateway,
    services: FakeServices,
    token: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "SLOW_CLIENT_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1)
    writer.write(
        f"GET /douyin/message/ws?token={token}&to_user_id=5 HTTP/1.1\r\nHost: a\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )

    async def flood() -> None:
        while not services.push_ended.is_set():
            await services.messages_to_push.put(Message(content="长" * 100_000))
            await eventually(lambda: services.messages_to_push.qsize() <= 5, interval_s=0.01)

    flooding = asyncio.create_task(flood())
    try:
        async with asyncio.timeout(10):
            await services.push_ended.wait()
    finally:
        flooding.cancel()
        writer.close()
    del reader


async def test_a_gateway_that_stops_closes_its_sockets(
    start_gateway: StartGateway, services: FakeServices, token: str
) -> None:
    async with start_gateway() as gateway:
        socket = await connect(ws_url(gateway, f"token={token}&to_user_id=5")).__aenter__()
        await services.messages_to_push.put(Message())
        await socket.recv()

    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert socket.close_code == 1012


@pytest.mark.parametrize(
    ("limit", "same_user", "same_network", "refused"),
    [
        ("max_sockets_per_user", True, False, True),
        ("max_sockets_per_user", False, True, False),
        ("max_sockets_per_address", False, True, True),
        ("max_sockets_per_address", True, False, False),
        ("max_sockets", False, False, True),
    ],
)
async def test_a_user_and_a_network_have_a_share_of_the_sockets(  # noqa: PLR0917
    start_gateway: StartGateway,
    issuer: TokenIssuer,
    limit: str,
    same_user: bool,
    same_network: bool,
    refused: bool,
) -> None:
    queries = [f"token={issuer.issue(user)}&to_user_id=5" for user in (1, 1 if same_user else 2)]
    second = "2001:db8::2" if same_network else "2001:db8:0:1::1"
    async with (
        start_gateway(**{limit: 1}) as gateway,
        connect(ws_url(gateway, queries[0]), additional_headers=coming_from("2001:db8::1")),
    ):
        try:
            async with connect(ws_url(gateway, queries[1]), additional_headers=coming_from(second)):
                status, headers = 101, {}
        except InvalidStatus as exc:
            status, headers = exc.response.status_code, dict(exc.response.headers)

    assert (status == 429) is refused
    assert bool(headers) is refused


async def test_a_network_full_of_sockets_gives_one_to_a_network_that_has_none(
    start_gateway: StartGateway, services: FakeServices, issuer: TokenIssuer
) -> None:
    queries = [f"token={issuer.issue(user)}&to_user_id=5" for user in (1, 2, 3)]
    many, newcomer = coming_from("203.0.113.1"), coming_from("203.0.113.2")
    async with (
        start_gateway(max_sockets=2) as gateway,
        connect(ws_url(gateway, queries[0]), additional_headers=many) as first,
        connect(ws_url(gateway, queries[1]), additional_headers=many) as second,
        connect(ws_url(gateway, queries[2]), additional_headers=newcomer),
    ):
        with pytest.raises(ConnectionClosed):
            await second.recv()
        receiving = asyncio.create_task(first.recv())
        # Whichever stream is ready takes the next one.
        while not receiving.done():
            await services.messages_to_push.put(Message(content="hello"))
            await asyncio.wait({receiving}, timeout=0.1)
        assert "hello" in receiving.result()
    assert second.close_code == 1013


def coming_from(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def test_one_network_may_hold_a_fifth_of_the_sockets_as_shipped() -> None:
    section = read_section(DEFAULT_CONFIG_DIR, "gateway")

    assert section["max_sockets_per_address"] * 5 <= section["max_sockets"]
