"""A line: one stream to one instance, on which calls travel together.

Natural batching, as in pkg/batching.py: what arrives while a message is under way goes with the next one. The next one leaves as soon
as anything of the last was answered, and after `LONGEST_HOLD_S` in any case, so that a slow call holds up nobody.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count

import grpc
from google.rpc.status_pb2 import Status
from loguru import logger

from pkg.endurance import repeat_until_stopped
from pkg.errors import DeadlineExceeded
from pkg.rpc.status import read_status
from pkg.stopping import wait_for_stop
from protos.calls_pb2 import Call, Calls, Results
from protos.calls_pb2_grpc import CallServiceStub

LONGEST_HOLD_S = 0.003
MOST_CALLS = 256
MESSAGE_BYTES = 256 * 1024
CONNECT_TIMEOUT_S = 1.0
# Between attempts to open a stream that broke.
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0

Stream = grpc.aio.StreamStreamCall[Calls, Results]


class LineState(Enum):
    """Whether calls can travel on a line."""

    DOWN = auto()
    OPEN = auto()
    ENDING = auto()  # the instance stops, or is not wanted any more: only replies come
    UNSUPPORTED = auto()  # the instance is older than this mechanism


class LineBroken(Exception):
    """The stream ended before the call was answered.

    Args:
        was_sent: whether the instance may have begun with it.
    """

    def __init__(self, *, was_sent: bool) -> None:
        super().__init__("the instance went away")
        self.was_sent = was_sent


@dataclass(slots=True)
class _Waiting:
    method: str
    request: bytes
    ends_at: float
    request_id: str
    metadata: Mapping[str, str]
    reply: "asyncio.Future[bytes]"
    was_sent: bool = False


class Line:
    """Keeps a stream open on `channel`; `run` must run beside it."""

    def __init__(
        self, channel: grpc.aio.Channel, *, address: str, on_change: Callable[[], None]
    ) -> None:
        self.state = LineState.DOWN
        self._on_change = on_change
        self._stub = CallServiceStub(channel)
        self._address = address
        self._numbers = count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._outbox: deque[int] = deque()
        self._cancelled: list[int] = []
        self._wake = asyncio.Event()
        self._answered = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._pauses_s = _pauses()

    @property
    def load(self) -> int:
        """How many calls wait for their replies."""
        return len(self._waiting)

    async def call(
        self,
        method: str,
        request: bytes,
        *,
        ends_at: float,
        request_id: str,
        metadata: Mapping[str, str],
    ) -> bytes:
        """Make one call and return its reply.

        Args:
            method: with its service, "/dousheng.UserService/Login".
            ends_at: the deadline, in the time of the event loop.

        Raises:
            DomainError: what the handler raised, or DeadlineExceeded.
            LineBroken: the stream broke first.
        """
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        reply = loop.create_future()
        # A timer for the reply: asyncio.timeout would watch the task for the price of three.
        timer = loop.call_at(ends_at, _expire, reply, method)
        waiting = _Waiting(method, request, ends_at, request_id, metadata, reply)
        self._waiting[number] = waiting
        self._outbox.append(number)
        self._wake.set()
        try:
            return await waiting.reply
        finally:
            timer.cancel()
            if self._waiting.pop(number, None) is not None and waiting.was_sent:
                self._cancelled.append(number)
                self._wake.set()

    def end(self) -> None:
        """Send no further call; `run` returns when what was sent is answered."""
        self._unwanted.set()
        self._set_state(LineState.ENDING)
        self._wake.set()

    async def run(self) -> None:
        """Keep the stream open until `end`."""
        await repeat_until_stopped(
            self._unwanted,
            self._keep_open,
            name="calls to an instance",
            pause_s=LONGEST_PAUSE_S,
            facts={"address": self._address},
        )

    async def _keep_open(self) -> None:
        """Open the stream, and keep it until it breaks or ends."""
        stream = self._stub.Many()
        ended_as = LineState.DOWN
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await stream.wait_for_connection()
            self._pauses_s = _pauses()
            await self._exchange(stream)
        except grpc.aio.AioRpcError as exc:
            if exc.code() is grpc.StatusCode.UNIMPLEMENTED:
                ended_as = LineState.UNSUPPORTED
            logger.bind(address=self._address, cause=exc.details()).debug("line broke")
        except TimeoutError:
            logger.bind(address=self._address).debug("line does not open")
        finally:
            stream.cancel()
            self._break(ended_as)
        await wait_for_stop(self._unwanted, next(self._pauses_s))

    async def _exchange(self, stream: Stream) -> None:
        """Write and read until the stream ends; a failure of either ends both."""
        self._set_state(LineState.ENDING if self._unwanted.is_set() else LineState.OPEN)
        writing = asyncio.create_task(self._write(stream))
        reading = asyncio.create_task(self._read(stream))
        reading.add_done_callback(lambda _: writing.cancel())
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            reading.cancel()
            failures = await asyncio.gather(reading, writing, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, Exception):
                raise failure

    async def _read(self, stream: Stream) -> None:
        while isinstance(results := await stream.read(), Results):
            self._deliver(results)

    async def _write(self, stream: Stream) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox or self._cancelled:
                message = self._take()
                self._answered.clear()
                try:
                    await stream.write(message)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return  # The stream is broken, and reading tells why.
                await self._hold()
            if self.state is LineState.ENDING:
                await stream.done_writing()
                return

    async def _hold(self) -> None:
        """Wait until an answer comes, so that others can join the next message; but not for long."""
        timer = asyncio.get_running_loop().call_later(LONGEST_HOLD_S, self._answered.set)
        await self._answered.wait()
        timer.cancel()

    def _take(self) -> Calls:
        now = asyncio.get_running_loop().time()
        message = Calls(cancelled=self._cancelled)
        self._cancelled = []
        size = 0
        while self._outbox and len(message.calls) < MOST_CALLS and size < MESSAGE_BYTES:
            number = self._outbox.popleft()
            waiting = self._waiting.get(number)
            if waiting is None:  # nobody waits for it any more
                continue
            waiting.was_sent = True
            size += len(waiting.request)
            message.calls.append(
                Call(
                    number=number,
                    method=waiting.method,
                    request=waiting.request,
                    timeout_ms=max(1, int((waiting.ends_at - now) * 1000)),
                    request_id=waiting.request_id,
                    metadata=waiting.metadata,
                )
            )
        return message

    def _deliver(self, results: Results) -> None:
        self._answered.set()
        if results.stopping:
            self._set_state(LineState.ENDING)
            self._wake.set()
        for result in results.results:
            waiting = self._waiting.pop(result.number, None)
            if waiting is None or waiting.reply.done():
                continue
            if result.WhichOneof("outcome") == "status":
                waiting.reply.set_exception(read_status(Status.FromString(result.status)))
            else:
                waiting.reply.set_result(result.reply)

    def _break(self, state: LineState) -> None:
        """Tell everybody who still waits."""
        self._set_state(state)
        self._outbox.clear()
        self._cancelled.clear()
        broken, self._waiting = self._waiting, {}
        for waiting in broken.values():
            if not waiting.reply.done():
                waiting.reply.set_exception(LineBroken(was_sent=waiting.was_sent))

    def _set_state(self, state: LineState) -> None:
        if state is not self.state:
            self.state = state
            self._on_change()


def _expire(reply: "asyncio.Future[bytes]", method: str) -> None:
    if not reply.done():
        reply.set_exception(DeadlineExceeded(detail=f"{method} did not answer in time"))


def _pauses() -> Iterator[float]:
    """Yield the pauses between attempts to open a stream that broke."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
