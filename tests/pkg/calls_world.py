"""An instance whose calls travel together, and the lines to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc

from pkg import log
from pkg.errors import UserNotFound
from pkg.rpc.admission import Admission
from pkg.rpc.interceptor import ErrorInterceptor
from pkg.rpc.many.lines import Lines
from pkg.rpc.many.servicer import ManyServicer, serve_together
from protos.user_pb2 import LoginReply, LoginRequest, User, UserInfoReply, UserInfoRequest
from protos.user_pb2_grpc import UserServiceServicer, add_UserServiceServicer_to_server

USER_INFO = "/dousheng.UserService/UserInfo"
LOGIN = "/dousheng.UserService/Login"


class Handler(UserServiceServicer):
    """Answers at once, or when a test lets it; notes what came and what was cancelled."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], float]] = []
        self.waiting = 0
        self.cancelled = 0
        self.let_go = asyncio.Event()
        self.name = ""

    async def UserInfo(self, request: UserInfoRequest, context: Any) -> UserInfoReply:
        metadata = dict(context.invocation_metadata())
        self.seen.append((log.request_id.get(), metadata, context.time_remaining()))
        if request.user_id == 404:
            raise UserNotFound("没有这个人", retry_after_s=3)
        if request.user_id == 500:
            raise KeyError("SELECT secret FROM users")
        return UserInfoReply(user=User(id=request.user_id, name=self.name))

    Register = UserServiceServicer.Register  # not there, for those who ask for it

    async def Login(self, request: LoginRequest, context: Any) -> LoginReply:
        """Take until `let_go`."""
        self.waiting += 1
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.waiting -= 1
        return LoginReply(user_id=7)


class World:
    """One instance and the lines to it."""

    def __init__(self, handler: Handler, lines: Lines, address: str) -> None:
        self.handler = handler
        self.lines = lines
        self.address = address
        self.server: grpc.aio.Server
        self.together: ManyServicer

    async def info(self, user_id: int, **options: Any) -> UserInfoReply:
        request = UserInfoRequest(user_id=user_id).SerializeToString()
        return UserInfoReply.FromString(await self.send(USER_INFO, request, **options))

    async def login(self, **options: Any) -> LoginReply:
        return LoginReply.FromString(await self.send(LOGIN, b"", **options))

    async def send(
        self,
        method: str,
        request: bytes,
        *,
        timeout_s: float = 20,
        is_repeatable: bool = True,
        request_id: str = "abc123",
        metadata: dict[str, str] | None = None,
    ) -> bytes:
        return await self.lines.call(
            method,
            request,
            timeout_s=timeout_s,
            request_id=request_id,
            metadata=metadata or {},
            is_repeatable=is_repeatable,
        )


@asynccontextmanager
async def serving_together(*, max_calls: int = 1000) -> AsyncIterator[World]:
    handler = Handler()
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    add_to_server = partial(add_UserServiceServicer_to_server, handler)
    together = serve_together(server, add_to_server, Admission(max_calls=max_calls, max_streams=1))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    lines = Lines(grpc.aio.insecure_channel, longest_call_s=5)
    world = World(handler, lines, f"127.0.0.1:{port}")
    world.server, world.together = server, together
    lines.use(frozenset({world.address}))
    try:
        yield world
    finally:
        handler.let_go.set()
        await lines.close()
        await server.stop(0)
