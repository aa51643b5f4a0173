"""The lines to all instances of one service: each call takes the one on which the fewest wait."""

import asyncio
from collections.abc import Callable, Mapping

import grpc

from pkg.errors import DeadlineExceeded, DependencyUnavailable
from pkg.rpc.many.line import Line, LineBroken, LineState

# An instance that is being started anew is there again, or another one is, within this time.
CONNECT_WAIT_S = 0.75
MOST_ATTEMPTS = 4
FIRST_PAUSE_S = 0.05


class NotCarried(Exception):
    """No instance knows the mechanism: make the call as a unary one."""


class Lines:
    """Keeps a line to each instance.

    Args:
        connect: makes a channel to one address, "host:port".
        longest_call_s: how long an instance that is no longer wanted may take to answer.
    """

    def __init__(
        self, connect: Callable[[str], grpc.aio.Channel], *, longest_call_s: float
    ) -> None:
        self._connect = connect
        self._longest_call_s = longest_call_s
        self._lines: dict[str, Line] = {}
        self._runs: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._turn = 0

    def use(self, addresses: frozenset[str]) -> None:
        """Send the following calls to `addresses`; what the others have begun they may finish."""
        for address in self._lines.keys() - addresses:
            self._lines.pop(address).end()
        for address in addresses - self._lines.keys():
            self._lines[address] = self._start(address)

    async def close(self) -> None:
        """Let running calls finish and close every line."""
        self.use(frozenset())
        if self._runs:
            await asyncio.wait(set(self._runs), timeout=self._longest_call_s)
        for task in self._runs:
            task.cancel()

    async def call(
        self,
        method: str,
        request: bytes,
        *,
        timeout_s: float,
        request_id: str,
        metadata: Mapping[str, str],
        is_repeatable: bool,
    ) -> bytes:
        """Make one call and return its reply.

        Raises:
            DomainError: what the handler raised, or DependencyUnavailable or DeadlineExceeded.
            NotCarried: the instances are older than this mechanism.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        for attempt in range(MOST_ATTEMPTS):
            line = self._choose() or await self._wait_for_line(ends_at)
            try:
                return await line.call(
                    method, request, ends_at=ends_at, request_id=request_id, metadata=metadata
                )
            except LineBroken as exc:
                if exc.was_sent and not is_repeatable:
                    raise DependencyUnavailable(detail="the instance went away") from exc
            pause_s = FIRST_PAUSE_S * attempt
            if loop.time() + pause_s >= ends_at:
                raise DeadlineExceeded(detail=f"{method}: every instance went away")
            await asyncio.sleep(pause_s)
        raise DependencyUnavailable(detail=f"{method}: every instance went away")

    def _choose(self) -> Line | None:
        """Return the open line on which the fewest wait; where several are equal, each in turn."""
        lines = [line for line in self._lines.values() if line.state is LineState.OPEN]
        if not lines:
            return None
        self._turn = (self._turn + 1) % len(lines)
        return min(lines[self._turn :] + lines[: self._turn], key=lambda line: line.load)

    async def _wait_for_line(self, ends_at: float) -> Line:
        """Return the first line that opens.

        Raises:
            DependencyUnavailable: none does within `CONNECT_WAIT_S`, or before the call must end.
            NotCarried: the instances are older than this mechanism.
        """
        waiting = asyncio.timeout_at(
            min(ends_at, asyncio.get_running_loop().time() + CONNECT_WAIT_S)
        )
        try:
            async with waiting:
                while (line := self._choose()) is None:
                    if any(line.state is LineState.UNSUPPORTED for line in self._lines.values()):
                        raise NotCarried
                    self._changed.clear()
                    await self._changed.wait()
                return line
        except TimeoutError as exc:
            if not waiting.expired():
                raise
            raise DependencyUnavailable(detail="no instance can be reached") from exc

    def _start(self, address: str) -> Line:
        channel = self._connect(address)
        line = Line(channel, address=address, on_change=self._changed.set)

        async def run() -> None:
            try:
                await line.run()
            finally:
                await channel.close()

        task = asyncio.create_task(run())
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        return line
