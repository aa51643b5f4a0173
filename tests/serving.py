"""A handler behind real gRPC, in the test's own process."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from pkg.errors import DomainError
from pkg.rpc.interceptor import ErrorInterceptor
from pkg.rpc.method import MethodChannel
from pkg.rpc.status import decode_error


@asynccontextmanager
async def serving(
    add_to_server: Callable[[grpc.aio.Server], None],
) -> AsyncIterator[grpc.aio.Channel]:
    """Serve on a free port, as every service does; gives a channel to it."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    add_to_server(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        # Without probing, the connection holds no more than 64 KiB that nobody has read.
        options = [("grpc.http2.bdp_probe", 0)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            yield channel
    finally:
        await server.stop(0)


def methods_of(channel: grpc.aio.Channel) -> Any:
    """Return what stands for the channel where a stub is made for `pkg.rpc.client.call`."""
    return MethodChannel(channel, None, unrepeatable=frozenset())


@contextmanager
def refused_with(error: type[DomainError]) -> Iterator[None]:
    """Expect a call to fail with this error, as it arrives in another process."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert type(decode_error(caught.value)) is error


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Collect the SQL statements that this process runs meanwhile."""
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
