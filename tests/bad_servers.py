"""A TCP proxy in front of a real server that turns bad and good again, as proxies, full servers and wrong ports do."""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, ParamSpec

import uvloop

P = ParamSpec("P")

RUBBISH = bytes(range(255, -1, -1)) * 16
MIDWAY_BYTES = 5
BLOCK_BYTES = 64 * 1024


class Behaviour(Enum):
    """What the proxy does with connections, those from before included."""

    GOOD = "passes everything on"
    CLOSING = "accepts and closes at once"
    SILENT = "accepts and says nothing"
    RUBBISH = "answers with rubbish"
    MIDWAY = "closes in the middle of the server's first words"


BAD = [behaviour for behaviour in Behaviour if behaviour is not Behaviour.GOOD]


class BadServer:
    """Runs on a thread of its own, so that it answers whatever loop the client blocks."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int | str) -> None:
        self._loop = loop
        self._target = target
        self._behaviour = Behaviour.GOOD
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()
        self.port = 0
        self.refused = 0  # connections that came while it was bad

    def turn(self, behaviour: Behaviour) -> None:
        """Behave so from now on; returns when connections from before have felt it."""
        asyncio.run_coroutine_threadsafe(self._turn(behaviour), self._loop).result(10)

    async def listen(self) -> asyncio.Server:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def abort(self) -> None:
        """End every connection at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def _turn(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        if behaviour is Behaviour.SILENT:
            return
        for writer in self._writers:
            if behaviour is Behaviour.RUBBISH:
                writer.write(RUBBISH)
            else:
                # Also where it turns good: what was bad before is of no use to anybody.
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.refused += self._behaviour is not Behaviour.GOOD
        try:
            match self._behaviour:
                case Behaviour.CLOSING:
                    return
                case Behaviour.RUBBISH:
                    writer.write(RUBBISH)
                    await reader.read()
                case Behaviour.SILENT:
                    await reader.read()
                case _:
                    await self._pass_on(reader, writer)
        except OSError:
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await self._connect()
        try:
            await asyncio.wait(
                {
                    asyncio.ensure_future(self._pump(reader, forth)),
                    asyncio.ensure_future(self._pump(back, writer, answers=True)),
                },
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            forth.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, str):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        while data := await reader.read(BLOCK_BYTES):
            match self._behaviour:
                case Behaviour.GOOD:
                    writer.write(data)
                case Behaviour.MIDWAY:
                    if answers:
                        writer.write(data[:MIDWAY_BYTES])
                        await writer.drain()
                        return
                    writer.write(data)
                case Behaviour.RUBBISH:
                    if not answers:
                        continue
                    writer.write(RUBBISH)
                case Behaviour.SILENT:
                    continue
                case Behaviour.CLOSING:
                    return
            await writer.drain()


@contextmanager
def bad_server_before(target: int | str) -> Iterator[BadServer]:
    """Give a proxy before a port, or before a socket's path, that passes everything on until it is told otherwise."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine(), loop).result(10)

    async def make() -> tuple[BadServer, asyncio.Server]:
        bad = BadServer(loop, target)
        return bad, await bad.listen()

    bad, server = run(make)

    async def end() -> None:
        # Not by closing or cancelling at once: a connection that was accepted this moment would never be closed.
        for listening in server.sockets:
            loop.remove_reader(listening.fileno())
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            bad.abort()
            await asyncio.wait(tasks, timeout=0.01)
        server.close()

    try:
        yield bad
    finally:
        run(end)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def on_uvloop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test on uvloop, as the services do; its fixtures are synchronous ones."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(test(*args, **kwargs))

    return run
