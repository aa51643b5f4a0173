"""Python programs of the product or of the tests, each in a process of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.stack.environment import without_settings

REPOSITORY = Path(__file__).parents[1]
# A program takes two seconds of a processor until it serves, and a minute where ten others want it too.
PATIENCE_S = 90.0


class Program:
    """A running program and all that it has printed, standard error included."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def printed(self, text: str, *, times: int = 1) -> str:
        """Wait until a line with this text was printed so many times; return the last of them."""

        def found() -> list[str]:
            return [line for line in self.lines if text in line]

        try:
            async with asyncio.timeout(PATIENCE_S), self._changed:
                await self._changed.wait_for(lambda: len(found()) >= times or self._has_ended())
        except TimeoutError:
            pass
        if len(found()) < times:
            raise AssertionError(f"{text!r} was not printed {times} times:\n{self.output}")
        return found()[-1]

    async def ended(self, *, within_s: float = PATIENCE_S) -> int:
        """Wait for the end and return the exit code; negative for a signal."""
        async with asyncio.timeout(within_s):
            code = await self._process.wait()
            await self._reading
        return code

    async def close(self) -> None:
        """Kill what still runs."""
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()

    def _has_ended(self) -> bool:
        return self._reading.done()

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())
            async with self._changed:
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def running_module(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Run `python -m module`; of our settings it sees only those in `environment`."""
    process = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", module, *arguments),
        cwd=REPOSITORY,
        env={**without_settings(os.environ), **(environment or {}), "PYTHONUNBUFFERED": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    program = Program(process)
    try:
        yield program
    finally:
        await program.close()
