"""A confined process: what a broken or hostile file does to a decoder stays in there.

Such a file may make a decoder crash, loop or take all memory. Each process has a time limit, an address-space limit and a
place in a bounded queue, and sees nothing of our environment. None outlives its call: it is killed, with its process
group, at the limit and on cancellation, and by the kernel when the service itself is killed.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from pkg.media.errors import (
    DAMAGED,
    UNKNOWN_FORMAT,
    MediaToolFailed,
    TookTooLong,
    UnreadableVideo,
)
from pkg.media.metrics import PROCESS_SECONDS, PROCESSES_WAITING
from pkg.media.progress import Progress
from pkg.metrics import observe
from pkg.tracing import child

# The machine's fault, not the file's; trying again may help.
MACHINE_MESSAGES = (
    "No space left on device",
    "Cannot allocate memory",
    "malloc of size",  # x264
    "Error while opening encoder",  # whose parameters are always the same
    "Resource temporarily unavailable",  # no thread could be made
)
# The file may be whole, but nothing here decodes it.
UNKNOWN_MESSAGES = ("not found for input stream", "Decoder not found", "no decoder found for")
# The program itself is missing or may not run; these come from the confinement.
NOT_STARTED_CODES = frozenset({126, 127})
OUTPUT_LIMIT_BYTES = 1 << 30
# Of what a program prints, the end is kept.
PRINTED_LIMIT_BYTES = 256 * 1024
LOGGED_CHARS = 300


@dataclass(frozen=True)
class Printed:
    """The end of what a program printed."""

    output: str
    errors: str


class ProcessRunner:
    """Runs confined processes, at most `max_parallel` at a time."""

    def __init__(self, *, max_memory_mb: int, max_parallel: int) -> None:
        self._confinement = confine(max_memory_mb)
        self._slots = asyncio.Semaphore(max_parallel)

    async def run(
        self,
        command: list[str],
        *,
        timeout_s: float,
        read: Callable[[bytes], object] | None = None,
    ) -> Printed:
        """Run a command to its end and return what it printed; waiting for a slot does not count.

        Args:
            read: takes the output piece by piece, where all of it counts; it is then not returned.

        Raises:
            UnreadableVideo: it refused the file.
            TookTooLong: it was killed at its deadline.
            MediaToolFailed: it ended otherwise.
        """
        async with self._started(command) as process:
            try:
                async with asyncio.timeout(timeout_s):
                    printed = await _read_printed(process, read)
            except TimeoutError as exc:
                raise TookTooLong(f"{command[0]} took over {timeout_s:g} s") from exc
        require_success(command[0], process.returncode, printed)
        return printed

    async def run_watched(
        self, command: list[str], *, timeout_s: float, stall_timeout_s: float, progress: Progress
    ) -> None:
        """Run a command that prints its progress, as `run` does; it is killed where it makes none, too.

        Raises:
            TookTooLong: it was killed at its deadline.
            MediaToolFailed: it made no progress for `stall_timeout_s`, or ended otherwise.
        """
        loop = asyncio.get_running_loop()
        async with self._started(command) as process:
            stall = asyncio.timeout(stall_timeout_s)

            def read(chunk: bytes) -> None:
                if progress.feed(chunk):
                    stall.reschedule(loop.time() + stall_timeout_s)

            try:
                async with asyncio.timeout(timeout_s), stall:
                    printed = await _read_printed(process, read)
            except TimeoutError as exc:
                if stall.expired():
                    detail = f"{command[0]} made no progress for {stall_timeout_s:g} s"
                    raise MediaToolFailed(detail) from exc
                raise TookTooLong(f"{command[0]} took over {timeout_s:g} s") from exc
        require_success(command[0], process.returncode, printed)

    @asynccontextmanager
    async def _started(self, command: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start a process in a slot of its own, and end it with the block."""
        with child(command[0]) as span:
            async with self._slot(), self._running(command) as process:
                yield process
            span.set("process.exit.code", process.returncode or 0)

    @asynccontextmanager
    async def _running(self, command: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *self._confinement,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            await _end(process)
            observe(PROCESS_SECONDS, time.perf_counter() - began, command[0])

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        with PROCESSES_WAITING.track_inprogress():
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()


def confine(max_memory_mb: int) -> list[str]:
    """Return the prefix that limits a command's memory and output, and ties its life to ours."""
    memory_bytes = max_memory_mb * 1024 * 1024
    limits = f"--as={memory_bytes} --fsize={OUTPUT_LIMIT_BYTES} --core=0"
    return f"setpriv --pdeathsig KILL --no-new-privs -- prlimit {limits} -- nice -n 5 --".split()


def require_success(program: str, code: int | None, printed: Printed) -> None:
    """Check how a program ended, and tell the file's faults from the machine's.

    Raises:
        UnreadableVideo: it refused the file.
        MediaToolFailed: it was killed, could not start, or lacked memory, disk or threads.
    """
    if code == 0:
        return
    last_line = printed.errors.strip().rpartition("\n")[2][:LOGGED_CHARS]
    detail = f"{program} ended with {code}: {last_line}"
    if code is None or code < 0 or code in NOT_STARTED_CODES:
        raise MediaToolFailed(detail)
    if any(message in printed.errors for message in MACHINE_MESSAGES):
        raise MediaToolFailed(detail)
    unknown = any(message in printed.errors for message in UNKNOWN_MESSAGES)
    raise UnreadableVideo(UNKNOWN_FORMAT if unknown else DAMAGED, detail=detail)


async def _read_printed(
    process: asyncio.subprocess.Process, read: Callable[[bytes], object] | None
) -> Printed:
    reading = _read_end(process.stdout) if read is None else _read_all(process.stdout, read)
    output, errors, _ = await asyncio.gather(reading, _read_end(process.stderr), process.wait())
    return Printed(output=output, errors=errors)


async def _read_all(stream: asyncio.StreamReader | None, read: Callable[[bytes], object]) -> str:
    while stream and (chunk := await stream.read(64 * 1024)):
        read(chunk)
    return ""


async def _read_end(stream: asyncio.StreamReader | None) -> str:
    """Read all and keep the end: a broken file makes ffmpeg print without limit."""
    kept = b""
    while stream and (chunk := await stream.read(64 * 1024)):
        kept = (kept + chunk)[-PRINTED_LIMIT_BYTES:]
    return kept.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs of the process's group, and wait until it has ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
