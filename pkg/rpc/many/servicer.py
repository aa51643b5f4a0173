"""The instance's side: the calls of a stream run side by side, in the ordinary handlers, and are answered as they end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc

from pkg.errors import DomainError, Unimplemented
from pkg.rpc.admission import Admission
from pkg.rpc.interceptor import Way, reported
from pkg.rpc.metadata import REQUEST_ID_KEY
from pkg.rpc.status import make_status
from pkg.tracing import TRACEPARENT
from protos.calls_pb2 import Call, Calls, Result, Results
from protos.calls_pb2_grpc import CallServiceServicer, add_CallServiceServicer_to_server

# A message holds at most this many bytes of results, unless one result alone is larger.
RESULTS_BYTES = 512 * 1024

Context = grpc.aio.ServicerContext[Any, Any]
Handlers = dict[str, "grpc.RpcMethodHandler[Any, Any]"]


class HandlerTable:
    """Takes the place of a server where a service is added, and keeps its unary methods by their paths."""

    def __init__(self) -> None:
        self.unary: Handlers = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Ignore what the next method brings in a form that can be read."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Keep the unary methods of a service."""
        for name, handler in handlers.items():
            if handler.unary_unary is not None:
                self.unary[f"/{service}/{name}"] = handler


def serve_together(
    server: grpc.aio.Server, add_to_server: Callable[[Any], None], admission: Admission
) -> "ManyServicer":
    """Let the unary methods that `add_to_server` adds be called together as well, and return what does it."""
    table = HandlerTable()
    add_to_server(table)
    servicer = ManyServicer(table, admission)
    add_CallServiceServicer_to_server(servicer, server)
    return servicer


class ManyServicer(CallServiceServicer):
    """Serves `Many` for the methods of a table."""

    def __init__(self, table: HandlerTable, admission: Admission) -> None:
        self._handlers = table.unary
        self._admission = admission
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask every client to end its side; what runs is answered before the streams end."""
        self._stopping.set()

    async def Many(
        self, request_iterator: AsyncIterator[Calls], context: Context
    ) -> AsyncIterator[Results]:
        # Now the client knows that it is connected.
        await context.send_initial_metadata(())
        running = _Stream(self._handlers, self._admission, peer=context.peer())
        reading = asyncio.create_task(running.read(request_iterator))
        telling = asyncio.create_task(running.tell_when(self._stopping))
        try:
            async for results in running.results():
                yield results
        finally:
            running.abandon()
            for task in (reading, telling):
                task.cancel()
            await asyncio.gather(reading, telling, return_exceptions=True)


class _Stream:
    """The calls of one client."""

    def __init__(self, handlers: Handlers, admission: Admission, *, peer: str) -> None:
        self._handlers = handlers
        self._admission = admission
        self._peer = peer
        self._running: dict[int, asyncio.Task[None]] = {}
        self._done: list[Result] = []
        self._news = asyncio.Event()
        self._is_read_to_end = False
        self._is_stopping = False

    async def read(self, messages: AsyncIterator[Calls]) -> None:
        """Start every call that arrives, until the client ends its side."""
        try:
            async for message in messages:
                for call in message.calls:
                    self._start(call)
                for number in message.cancelled:
                    if number in self._running:
                        self._running[number].cancel()
        finally:
            self._is_read_to_end = True
            self._news.set()

    async def tell_when(self, stopping: asyncio.Event) -> None:
        """Tell the client when this instance stops."""
        await stopping.wait()
        self._is_stopping = True
        self._news.set()

    async def results(self) -> AsyncIterator[Results]:
        """Yield what is done, as soon as it is, until nothing can follow."""
        told = False
        while True:
            await self._news.wait()
            self._news.clear()
            while self._done:
                yield self._take()
            if self._is_stopping and not told:
                told = True
                yield Results(stopping=True)
            if self._is_read_to_end and not self._running and not self._done:
                return

    def abandon(self) -> None:
        """Cancel what still runs: nobody waits for it any more."""
        for task in self._running.values():
            task.cancel()

    def _take(self) -> Results:
        size = taken = 0
        while taken < len(self._done) and size < RESULTS_BYTES:
            size += len(self._done[taken].reply)
            taken += 1
        results, self._done = self._done[:taken], self._done[taken:]
        return Results(results=results)

    def _start(self, call: Call) -> None:
        task = asyncio.create_task(self._answer(call))
        self._running[call.number] = task
        # As with a unary call, the handler is cancelled when its time is over.
        timer = asyncio.get_running_loop().call_later(call.timeout_ms / 1000, task.cancel)

        def end(_task: "asyncio.Task[None]") -> None:
            timer.cancel()
            del self._running[call.number]
            self._news.set()

        task.add_done_callback(end)

    async def _answer(self, call: Call) -> None:
        result = Result(number=call.number)
        try:
            result.reply = await self._run(call)
        except DomainError as error:
            result.status = make_status(error).SerializeToString()
        self._done.append(result)

    async def _run(self, call: Call) -> bytes:
        handler: Any = self._handlers.get(call.method)
        if handler is None:
            raise Unimplemented(detail=f"no method {call.method}")
        context: Any = CallContext(call, peer=self._peer)
        traceparent = call.metadata.get(TRACEPARENT)
        with (
            reported(call.method, call.request_id, traceparent=traceparent, way=Way.TOGETHER),
            self._admission.enter(streaming=False),
        ):
            reply = await handler.unary_unary(handler.request_deserializer(call.request), context)
        return bytes(handler.response_serializer(reply))


class CallContext:
    """What a handler of a unary call asks its context for."""

    def __init__(self, call: Call, *, peer: str) -> None:
        self._metadata = ((REQUEST_ID_KEY, call.request_id), *call.metadata.items())
        self._peer = peer
        self._ends_at = asyncio.get_running_loop().time() + call.timeout_ms / 1000

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata that came with the call."""
        return self._metadata

    def peer(self) -> str:
        """Return the address of the client, as gRPC writes it."""
        return self._peer

    def time_remaining(self) -> float:
        """Return how many seconds are left until nobody waits for the reply."""
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    def set_code(self, code: grpc.StatusCode) -> None:
        """Ignore it: a handler that is not there also raises NotImplementedError."""

    def set_details(self, details: str) -> None:
        """Ignore it, as above."""
