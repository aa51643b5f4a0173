"""Waiting until processes do their work, not merely run."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from supervisor.states import ProcessStates

from scripts.stack.component import Component
from scripts.stack.files import read_tail
from scripts.stack.processes import is_alive
from scripts.stack.report import StackError
from scripts.stack.supervisor import Supervisor

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
        deadline = time.monotonic() + (timeout_s or component.ready_within_s)
        first_pid: int | None = None
        problem = "it was not asked"
        while time.monotonic() < deadline and not (given_up and given_up.is_set()):
            info = self.supervisor.list_processes()[component.name]
            first_pid = first_pid or info.pid
            if not forgive_deaths and (info.state > ProcessStates.RUNNING or info.pid != first_pid):
                raise self._died(component, info.problem)
            if info.pid is not None and is_alive(info.pid):
                problem = _try_probe(component)
                if not problem:
                    return
            time.sleep(_INTERVAL_S)
        raise StackError(
            f"{component.name} does not get ready: {problem}", log_tail=self._tail(component)
        )

    def _died(self, component: Component, problem: str) -> StackError:
        return StackError(
            f"{component.name} died at start" + (f" ({problem})" if problem else ""),
            log_tail=self._tail(component),
            fix=f"read scripts/logs {component.name}, then run scripts/up again",
        )

    def _tail(self, component: Component) -> list[str]:
        return read_tail(self.supervisor.site.log_file(component.name), _TAIL_LINES)


def _try_probe(component: Component) -> str:
    """Return what a probe met, empty where it went well."""
    try:
        component.probe()
    except Exception as exc:  # noqa: BLE001 - every driver fails in its own way; all mean "not yet"
        return f"{type(exc).__name__}: {exc}"[:600]
    return ""
