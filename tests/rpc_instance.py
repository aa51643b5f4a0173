"""A service of the tests, alone in a process: `python -m tests.rpc_instance`.

With `bare` it only serves on a free port, for tests of clients; with `service` it has the whole life cycle, on the settings of the
environment, and a background task that a signal kills (SIGUSR1) or ends (SIGUSR2). SIGHUP ends its logins that still take a while.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import grpc

from pkg import log
from pkg.rpc.admission import Admission
from pkg.rpc.interceptor import ErrorInterceptor
from pkg.rpc.many.servicer import serve_together
from pkg.rpc.server import Composition, ServiceDefinition, ServiceProcessSettings, run_service
from pkg.rpc.tls import RpcSettings, add_port
from protos import user_pb2, user_pb2_grpc
from protos.user_pb2 import (
    LoginReply,
    LoginRequest,
    RegisterReply,
    RegisterRequest,
    User,
    UserInfoReply,
    UserInfoRequest,
)
from services.user.settings import UserSettings

PLAIN_TEXT = RpcSettings(require_caller_certificate=True)


class Instance(user_pb2_grpc.UserServiceServicer):
    """Says which process answered, and counts; `hang` makes calls wait, `error` makes them fail."""

    def __init__(self, *, hang: bool = False, tell: bool = False) -> None:
        self.calls: Counter[str] = Counter()
        self.request_ids: list[str] = []
        self.error: Exception | None = None
        self.hurry = asyncio.Event()
        self._tell = tell
        self._gate = asyncio.Event()
        if not hang:
            self._gate.set()

    async def UserInfo(self, request: UserInfoRequest, context: object) -> UserInfoReply:
        await self._enter("UserInfo")
        return UserInfoReply(user=User(id=os.getpid()))

    async def Register(self, request: RegisterRequest, context: object) -> RegisterReply:
        await self._enter("Register")
        return RegisterReply(user_id=os.getpid())

    async def Login(self, request: LoginRequest, context: object) -> LoginReply:
        """Take a while: as many seconds as the name says, or until `hurry`."""
        await self._enter("Login")
        with suppress(TimeoutError):
            async with asyncio.timeout(float(request.username)):
                await self.hurry.wait()
        return LoginReply(user_id=os.getpid())

    async def _enter(self, method: str) -> None:
        self.calls[method] += 1
        self.request_ids.append(log.request_id.get())
        if self._tell:
            print(method, flush=True)
        await self._gate.wait()
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def serve(
    handler: Instance, port: int = 0, *, rpc: RpcSettings = PLAIN_TEXT, together: bool = True
) -> AsyncIterator[tuple[grpc.aio.Server, str]]:
    """Serve a handler on 127.0.0.1; gives the server and its address. `together` as every service does."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    add_to_server = partial(user_pb2_grpc.add_UserServiceServicer_to_server, handler)
    add_to_server(server)
    if together:
        serve_together(server, add_to_server, Admission(max_calls=1000, max_streams=10))
    bound = add_port(server, f"127.0.0.1:{port}", rpc)
    await server.start()
    try:
        yield server, f"127.0.0.1:{bound}"
    finally:
        await server.stop(0)


async def serve_bare(*, hang: bool) -> None:
    async with serve(Instance(hang=hang, tell=True)) as (server, address):
        print(address, flush=True)
        await server.wait_for_termination()


class TestServiceSettings(ServiceProcessSettings):
    user: UserSettings


@asynccontextmanager
async def compose(settings: TestServiceSettings) -> AsyncIterator[Composition[Instance]]:
    handler = Instance(tell=True)
    orders: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        asyncio.get_running_loop().add_signal_handler(number, orders.put_nowait, number)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, handler.hurry.set)

    async def background(stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(orders.get())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if waits[1].done() and waits[1].result() == signal.SIGUSR1:
            raise ConnectionResetError("the consumer lost its queue")
        print("background finished", flush=True)

    yield Composition(handler, background=[background])
    print("resources closed", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "service":
        run_service(
            ServiceDefinition(
                file=user_pb2.DESCRIPTOR,
                add_to_server=user_pb2_grpc.add_UserServiceServicer_to_server,
                settings_class=TestServiceSettings,
                compose=compose,
            )
        )
    else:
        asyncio.run(serve_bare(hang="hang" in sys.argv))
