"""The error tree, and its way through gRPC."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import DebugInfo, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from pkg import errors
from pkg.rpc.client import ServiceClient, call
from pkg.rpc.interceptor import ErrorInterceptor
from pkg.rpc.status import ERROR_DOMAIN, decode_error
from protos import user_pb2_grpc
from protos.user_pb2 import UserInfoReply, UserInfoRequest

HTTP_STATUSES = {200, 401, 404, 405, 413, 414, 416, 429, 500, 503}


class Raising(user_pb2_grpc.UserServiceServicer):
    """Raises what the test wants."""

    error: BaseException

    async def UserInfo(self, request: UserInfoRequest, context: object) -> UserInfoReply:
        raise self.error

    Register = Login = UserInfo  # type: ignore[assignment]


@pytest.fixture
async def raising() -> AsyncIterator[tuple[Raising, ServiceClient[Any]]]:
    handler = Raising()
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    user_pb2_grpc.add_UserServiceServicer_to_server(handler, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    client = ServiceClient(
        "dousheng.UserService", user_pb2_grpc.UserServiceStub, methods=["UserInfo"]
    )
    client.use(frozenset({f"127.0.0.1:{port}"}))
    yield handler, client
    await client.close()
    await server.stop(0)


def test_every_class_has_a_number_of_its_own():
    numbers = [cls.status_code for cls in errors.list_error_classes()]

    assert len(numbers) == len(set(numbers))
    assert 0 not in numbers


@pytest.mark.parametrize("cls", errors.list_error_classes(), ids=lambda cls: cls.__name__)
def test_every_class_has_a_meaning_in_every_protocol(cls):
    assert cls.http_status in HTTP_STATUSES
    assert cls.grpc_code is not grpc.StatusCode.OK
    assert any("\u4e00" <= char <= "\u9fff" for char in cls.default_message)


@pytest.mark.parametrize("cls", errors.list_error_classes(), ids=lambda cls: cls.__name__)
async def test_an_error_arrives_as_it_was_raised(raising, cls):
    handler, client = raising
    handler.error = cls("只此一次", retry_after_s=7, detail="secret")

    with pytest.raises(errors.DomainError) as caught:
        await call(client.stub.UserInfo, UserInfoRequest(), timeout_s=2)

    assert type(caught.value) is cls
    assert caught.value.message == "只此一次"
    assert caught.value.retry_after_s == 7
    assert "secret" not in str(caught.value.__cause__)


async def test_a_bug_tells_the_caller_nothing(raising):
    handler, client = raising
    handler.error = KeyError("SELECT secret FROM users")

    with pytest.raises(errors.InternalError) as caught:
        await call(client.stub.UserInfo, UserInfoRequest(), timeout_s=2)

    assert "SELECT" not in str(caught.value.__cause__)


async def test_a_dead_instance_is_an_unavailable_dependency():
    client = ServiceClient(
        "dousheng.UserService", user_pb2_grpc.UserServiceStub, methods=["UserInfo"]
    )
    client.use(frozenset({"127.0.0.1:1"}))

    with pytest.raises(errors.DependencyUnavailable):
        await call(client.stub.UserInfo, UserInfoRequest(), timeout_s=2)
    await client.close()


def test_no_known_instance_is_an_unavailable_dependency():
    client = ServiceClient(
        "dousheng.UserService", user_pb2_grpc.UserServiceStub, methods=["UserInfo"]
    )

    with pytest.raises(errors.DependencyUnavailable):
        _ = client.stub


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.DependencyUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, errors.DeadlineExceeded),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Unimplemented),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.RateLimited),
        (grpc.StatusCode.DATA_LOSS, errors.InternalError),
    ],
)
def test_a_failure_of_the_transport_has_the_meaning_of_its_code(code, expected):
    assert type(decode_error(fail_with(code))) is expected


@pytest.mark.parametrize(
    "detail",
    [
        ErrorInfo(domain=ERROR_DOMAIN, reason="AddedLater", metadata={"status_code": "65000"}),
        ErrorInfo(domain="proxy.example", metadata={"status_code": "10002"}),
        DebugInfo(detail="of a proxy"),
    ],
    ids=["unknown number", "another domain", "another detail"],
)
def test_an_error_of_somebody_else_has_the_meaning_of_its_code(detail):
    failure = fail_with(grpc.StatusCode.UNAVAILABLE, detail)

    assert type(decode_error(failure)) is errors.DependencyUnavailable


def fail_with(code: grpc.StatusCode, *details: Any) -> grpc.aio.AioRpcError:
    packed = [AnyMessage() for _ in details]
    for target, detail in zip(packed, details, strict=True):
        target.Pack(detail)
    status = Status(code=code.value[0], message="m", details=packed)
    metadata = rpc_status.to_status(status).trailing_metadata
    trailing = grpc.aio.Metadata(*metadata)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="m")
