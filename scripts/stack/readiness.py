"""Waiting until processes do their work, not merely run."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from scripts.stack.errors import StackError
from scripts.stack.files import read_tail
from scripts.stack.processes import is_alive
from scripts.stack.programs import Component, Program
from scripts.stack.supervisor import State, Supervisor

_TAIL_LINES = 20
_INTERVAL_S = 0.1


@dataclass(frozen=True)
class Watcher:
    """Probes processes of one supervisor."""

    supervisor: Supervisor

    def wait_all(
        self, components: Sequence[Component], *, tell: Callable[[Component, float], None]
    ) -> None:
        """Wait for all of them side by side; `tell` hears of each with its seconds.

        Raises:
            StackError: one died or did not answer in time; the first to fail is reported.
        """
        if not components:
            return
        given_up = threading.Event()
        begun = time.monotonic()

        def watch(component: Component) -> None:
            self.wait_for(component, given_up=given_up, forgive_deaths=False)
            tell(component, time.monotonic() - begun)

        with ThreadPoolExecutor(len(components)) as pool:
            futures = [pool.submit(watch, component) for component in components]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            given_up.set()
        for future in (*done, *futures):
            future.result()

    def wait_for(
        self,
        component: Component,
        *,
        given_up: threading.Event | None = None,
        forgive_deaths: bool,
        timeout_s: float | None = None,
    ) -> None:
        """Wait until the process of our own answers its probe.

        With `forgive_deaths` a death and the supervisor's new start are waited through.
        """
        program = component.program()
        deadline = time.monotonic() + (timeout_s or program.ready_within_s)
        first_pid: int | None = None
        problem = "it was not asked"
        while time.monotonic() < deadline and not (given_up and given_up.is_set()):
            info = self.supervisor.list_processes()[program.name]
            first_pid = first_pid or info.pid
            if not forgive_deaths and (info.state > State.RUNNING or info.pid != first_pid):
                raise self._died(program, info.problem)
            if info.pid is not None and is_alive(info.pid):
                problem = _try_probe(component)
                if not problem:
                    return
            time.sleep(_INTERVAL_S)
        raise StackError(
            f"{program.name} does not get ready: {problem}", log_tail=self._tail(program)
        )

    def _died(self, program: Program, problem: str) -> StackError:
        return StackError(
            f"{program.name} died at start" + (f" ({problem})" if problem else ""),
            log_tail=self._tail(program),
            mend=f"read scripts/logs {program.name}, then run scripts/up again",
        )

    def _tail(self, program: Program) -> list[str]:
        return read_tail(self.supervisor.site.log_file(program.name), _TAIL_LINES)


def _try_probe(component: Component) -> str:
    """Return what a probe met, empty where it went well."""
    try:
        component.probe()
    except Exception as exc:  # noqa: BLE001 - every driver fails in its own way; all mean "not yet"
        return f"{type(exc).__name__}: {exc}"[:600]
    return ""
