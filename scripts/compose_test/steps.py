"""What a person sees of a run: each step while it works, how long it took, and the end of its log when it fails."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scripts.stack.files import read_tail
from scripts.stack.report import StackError

_SHOW_EVERY_S = 0.5
_SAY_EVERY_S = 30.0
_WIDTH = 46


@dataclass
class Steps:
    """Runs steps one after the other and keeps their times."""

    logs: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Say the step and, when it is done, its duration."""
        begun = time.monotonic()
        if sys.stdout.isatty():
            print(f"  {title} …", end="", flush=True)
        yield
        self._done(title, time.monotonic() - begun)

    def run(
        self,
        title: str,
        command: Sequence[str | Path],
        *,
        timeout_s: float,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run a command as a step, its output in a log.

        Raises:
            StackError: it failed or was not done in time; the message has the end of the log.
        """
        log = self.logs / f"{title.replace(' ', '-').replace('/', '-')}.log"
        begun = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=os.environ | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                self._watch(process, title, log, timeout_s)
            finally:
                process.kill()
                process.wait()
        self._done(title, time.monotonic() - begun)

    def run_quietly(self, title: str, work: Callable[[], None]) -> None:
        """Do work that prints nothing as a step."""
        with self.step(title):
            work()

    def _watch(
        self, process: subprocess.Popen[bytes], title: str, log: Path, timeout_s: float
    ) -> None:
        begun = said = time.monotonic()
        while True:
            try:
                if process.wait(_SHOW_EVERY_S) == 0:
                    return
                problem = f"{title} failed with exit status {process.returncode}"
                raise StackError(problem, log_tail=read_tail(log, 30), fix=f"all of it: {log}")
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            if now - begun > timeout_s:
                raise StackError(
                    f"{title} was not done in {timeout_s:.0f} s", log_tail=read_tail(log, 30)
                )
            if sys.stdout.isatty():
                last = "".join(read_tail(log, 1)).rpartition("\r")[2]
                print(f"\r  {title:<{_WIDTH}} {now - begun:6.0f} s  {last[:60]}\033[K", end="")
                sys.stdout.flush()
            elif now - said > _SAY_EVERY_S:
                said = now
                print(f"  {title + ' …':<{_WIDTH}} {now - begun:6.0f} s", flush=True)

    def _done(self, title: str, seconds: float) -> None:
        self.seconds[title] = seconds
        before, after = ("\r", "\033[K") if sys.stdout.isatty() else ("", "")
        print(f"{before}  {title:<{_WIDTH}} {seconds:6.1f} s{after}", flush=True)
