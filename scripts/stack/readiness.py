"""Waiting until processes do their work, not merely run."""

import time
from collections.abc import Callable, Sequence

from supervisor.states import ProcessStates

from scripts.stack.component import Component
from scripts.stack.files import read_tail
from scripts.stack.processes import is_alive
from scripts.stack.report import StackError
from scripts.stack.supervisor import Supervisor

_TAIL_LINES = 20
_INTERVAL_S = 0.1


def wait_ready(
    supervisor: Supervisor,
    components: Sequence[Component],
    *,
    forgive_deaths: bool = False,
    timeout_s: float | None = None,
    tell: Callable[[Component, float], None] | None = None,
) -> None:
    """Wait until the processes, our own and no strangers, answer their probes; `tell` hears of each.

    With `forgive_deaths` a death and the supervisor's new start are waited through.

    Raises:
        StackError: one died or did not answer in time.
    """
    begun = time.monotonic()
    first_pids: dict[str, int] = {}
    pending = list(components)
    while pending:
        for component in tuple(pending):
            problem = _look(supervisor, component, first_pids, forgive_deaths=forgive_deaths)
            seconds = time.monotonic() - begun
            if not problem:
                pending.remove(component)
                if tell:
                    tell(component, seconds)
            elif seconds > (timeout_s or component.ready_within_s):
                raise StackError(
                    f"{component.name} does not get ready: {problem}",
                    log_tail=_tail(supervisor, component),
                )
        if pending:
            time.sleep(_INTERVAL_S)


def _look(
    supervisor: Supervisor,
    component: Component,
    first_pids: dict[str, int],
    *,
    forgive_deaths: bool,
) -> str:
    """Return why the process is not ready, empty where it is."""
    info = supervisor.list_processes()[component.name]
    if info.pid is not None:
        first_pids.setdefault(component.name, info.pid)
    died = info.state > ProcessStates.RUNNING or info.pid != first_pids.get(component.name)
    if died and not forgive_deaths:
        raise StackError(
            f"{component.name} died at start" + (f" ({info.problem})" if info.problem else ""),
            log_tail=_tail(supervisor, component),
            fix=f"read scripts/logs {component.name}, then run scripts/up again",
        )
    if info.pid is None or not is_alive(info.pid):
        return "it does not run"
    try:
        component.probe()
    except Exception as exc:  # noqa: BLE001 - every driver fails in its own way; all mean "not yet"
        return f"{type(exc).__name__}: {exc}"[:600]
    return ""


def _tail(supervisor: Supervisor, component: Component) -> list[str]:
    return read_tail(supervisor.site.log_file(component.name), _TAIL_LINES)
