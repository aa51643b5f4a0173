"""Phones that talk to a UserService in the test's own process."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from pkg.errors import DomainError
from pkg.rpc.client import call
from protos.user_pb2 import LoginRequest, RegisterRequest, User, UserInfoRequest
from protos.user_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server
from services.user.__main__ import compose
from services.user.settings import UserProcessSettings
from tests.conftest import AllSettings
from tests.serving import methods_of, serving

if TYPE_CHECKING:
    from protos.user_pb2_grpc import UserServiceAsyncStub

PASSWORD = "pass word🐶"


class Phone:
    """The calls of UserService from one address; errors come as they were raised."""

    def __init__(self, stub: "UserServiceAsyncStub", address: str) -> None:
        self._stub = stub
        self._metadata = {"x-client-address": address}

    async def register(self, name: str, password: str = PASSWORD) -> tuple[int, str]:
        request = RegisterRequest(username=name, password=password)
        reply = await call(self._stub.Register, request, timeout_s=10, metadata=self._metadata)
        return reply.user_id, reply.token

    async def login(self, name: str, password: str = PASSWORD, *, timeout_s: float = 10) -> int:
        request = LoginRequest(username=name, password=password)
        reply = await call(self._stub.Login, request, timeout_s=timeout_s, metadata=self._metadata)
        return int(reply.user_id)

    def without_gateway(self) -> "Phone":
        """Return one that calls the service itself, as a person with grpcurl does."""
        direct = Phone(self._stub, "")
        direct._metadata = {}
        return direct

    def elsewhere(self, address: str) -> "Phone":
        """Return a phone of another network that talks to the same instance."""
        return Phone(self._stub, address)

    async def info(self, user_id: int, token: str = "") -> User:
        request = UserInfoRequest(user_id=user_id, token=token)
        return (await call(self._stub.UserInfo, request, timeout_s=10)).user


OpenPhone = Callable[..., AbstractAsyncContextManager[Phone]]


def make_opener(settings: AllSettings) -> OpenPhone:
    """Return what runs the service, with limits as told, and gives a phone that talks to it."""

    @asynccontextmanager
    async def open_it(address: str = "", **limits: object) -> AsyncIterator[Phone]:
        # The machine may be busy: what waits for a hash waits for as long as the call does.
        limits = {"hashing": settings.user.hashing.model_copy(update={"max_wait_s": 10})} | limits
        sections = {name: getattr(settings, name) for name in UserProcessSettings.model_fields}
        process = UserProcessSettings(
            **sections | {"user": settings.user.model_copy(update=limits)}
        )
        async with compose(process) as composition:
            add_to_server = partial(add_UserServiceServicer_to_server, composition.handler)
            async with serving(add_to_server) as channel:
                yield Phone(UserServiceStub(methods_of(channel)), address or uuid.uuid4().hex)

    return open_it


async def outcome(attempt: Awaitable[object]) -> type[object]:
    """Return the error class that the call ended with, or the type of its reply."""
    try:
        return type(await attempt)
    except DomainError as exc:
        return type(exc)
