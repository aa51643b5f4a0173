"""Starting and stopping processes under the supervisor, and waiting until they work."""

from collections.abc import Iterable, Sequence

from scripts.stack.component import Component
from scripts.stack.ports import check_free
from scripts.stack.readiness import wait_ready
from scripts.stack.report import Report
from scripts.stack.servers.nginx import Nginx
from scripts.stack.supervisor import Supervisor


class Lifecycle:
    """What is done to the processes of one stack whose supervisor runs."""

    def __init__(self, supervisor: Supervisor, report: Report) -> None:
        self._supervisor = supervisor
        self._report = report

    def check_ports(self, components: Iterable[Component]) -> None:
        """Refuse ports on which somebody else listens.

        Raises:
            StackError: with the name of who does.
        """
        for component in components:
            for listener in component.listeners:
                check_free(
                    listener.purpose,
                    host=component.host,
                    port=component.port_of(listener),
                    run_dir=component.site.run_dir,
                )

    def start(self, components: Sequence[Component]) -> None:
        """Start what does not run and wait until all of it works."""
        known = self._supervisor.list_processes()
        idle = [item for item in components if known[item.name].pid is None]
        self.check_ports(idle)
        for item in idle:
            self._supervisor.start(item.name)

        def tell(item: Component, seconds: float) -> None:
            verb = "started" if item in idle else "runs"
            self._report(f"  {item.name:<14} {verb:<8} {item.address:<20} {seconds:5.1f} s")

        wait_ready(self._supervisor, components, tell=tell)
        for item in components:
            if isinstance(item, Nginx):
                self._bring_up_to_date(item, started=item in idle)

    def stop(self, components: Sequence[Component]) -> None:
        """Stop processes side by side and wait until they are gone."""
        self._supervisor.stop([item.name for item in components])

    def renew(self, component: Component) -> None:
        """Start a process anew, with its newest configuration, and wait until it works."""
        self._supervisor.remove([component.name])
        self._supervisor.add([component.name])
        self.start([component])

    def reload(self, nginx: Nginx) -> None:
        """Have nginx read its configuration: a new worker takes over, the old one finishes what it has.

        Raises:
            StackError: nginx refuses the configuration; it goes on with the one that it has.
        """
        nginx.check_configuration()
        self._supervisor.signal(nginx.name, "HUP")
        nginx.note_current()
        wait_ready(self._supervisor, [nginx])

    def _bring_up_to_date(self, nginx: Nginx, *, started: bool) -> None:
        if started:
            nginx.note_current()
        elif not nginx.is_current:
            self.reload(nginx)
