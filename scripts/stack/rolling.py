"""A rolling restart: the product's processes are started anew one at a time, while others do the work."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import httpx

from scripts.stack.component import Component
from scripts.stack.inventory import PRODUCT, choose_product, section_of
from scripts.stack.lifecycle import Lifecycle
from scripts.stack.plain_http import ask
from scripts.stack.processes import wait_until
from scripts.stack.report import Report, StackError
from scripts.stack.servers.nginx import Nginx
from scripts.stack.services import Gateway
from scripts.stack.supervisor import Supervisor

_KNOWN_WITHIN_S = 30
_ANSWERS_WITHIN_S = 5
# nginx passes it on, and it costs a gateway nothing.
_ASKED = "/healthz"

# Writes the configuration of a stack with so many instances of each section, and returns its processes.
Arrange = Callable[[Mapping[str, int]], Sequence[Component]]


class RollingRestart:
    """Starts processes anew one by one; the next one has to wait until the last one works and every gateway knows it.

    A section with one instance gets a second one for as long as it takes, so that there is no gap.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        lifecycle: Lifecycle,
        arrange: Arrange,
        *,
        workers: int,
        report: Report,
    ) -> None:
        self._supervisor = supervisor
        self._lifecycle = lifecycle
        self._arrange = arrange
        self._report = report
        self._instances = dict.fromkeys(PRODUCT, workers)
        self._components: Sequence[Component] = ()

    def run(self, names: Collection[str]) -> None:
        """Start the named processes anew: a section means all of its instances, no name everything.

        Raises:
            StackError: a name is unknown, or a process does not come back; those after it were not touched.
        """
        self._rearrange()
        wanted = choose_product(self._components, names)
        for section in PRODUCT:
            if members := [item for item in wanted if section_of(item) == section]:
                with self._company(section):
                    for member in members:
                        self._lifecycle.renew(member)
                        self._wait_known(section)
                        if isinstance(member, Gateway):
                            self._wait_used(member)
        for nginx in _nginx_of(wanted):
            self._lifecycle.reload(nginx)
            self._report(f"  {nginx.name:<14} reloaded")

    @contextmanager
    def _company(self, section: str) -> Iterator[None]:
        """Give the only instance of a section a second one while the block runs."""
        if self._instances[section] > 1:
            yield
            return
        self._instances[section] = 2
        self._rearrange()
        second = [item for item in self._components if item.instance == 2]
        self._lifecycle.start([*second, *_nginx_of(self._components)])
        self._wait_known(section)
        yield
        # Not where the block failed: then the second one is all that there is until scripts/up is run again.
        self._instances[section] = 1
        # nginx first: then nobody sends anything to what is going to stop.
        self._lifecycle.start(_nginx_of(self._arrange(self._instances)))
        self._rearrange()

    def _rearrange(self) -> None:
        """Add and remove processes; one whose configuration changed goes on with its old one until its turn comes."""
        self._components = self._arrange(self._instances)
        changes = self._supervisor.read_changes()
        self._supervisor.remove(changes.removed)
        self._supervisor.add(changes.added)

    def _wait_known(self, section: str) -> None:
        """Wait until every gateway that runs knows all instances of a service.

        Raises:
            StackError: one of them does not learn of it.
        """
        running = self._supervisor.list_processes()
        for gateway in self._components:
            if not isinstance(gateway, Gateway) or section == gateway.section:
                continue
            knows_all = partial(self._knows_all, gateway, section)
            if running[gateway.name].pid and not wait_until(knows_all, timeout_s=_KNOWN_WITHIN_S):
                raise StackError(
                    f"{gateway.name} does not learn of every instance of {section}",
                    fix="see whether etcd runs (scripts/status), then run the command again",
                )

    def _wait_used(self, gateway: Gateway) -> None:
        """Wait until nginx gives a gateway requests: one that refused some, as it stopped, is left out for a moment.

        Raises:
            StackError: nginx runs and gives it none.
        """
        running = self._supervisor.list_processes()
        for nginx in _nginx_of(self._components):
            before = _count_requests(gateway)
            is_used = partial(_is_used, gateway, nginx, before)
            if running[nginx.name].pid and not wait_until(is_used, timeout_s=_KNOWN_WITHIN_S):
                raise StackError(
                    f"{nginx.name} gives {gateway.name} no request",
                    fix=f"read scripts/logs {nginx.name}, then run the command again",
                )

    def _knows_all(self, gateway: Gateway, section: str) -> bool:
        try:
            told = gateway.get("metrics")
        except httpx.HTTPError:
            return False
        known = re.search(
            rf'^dousheng_rpc_instances{{service="{section}"}} (\d+)', told, re.MULTILINE
        )
        return known is not None and int(known[1]) >= self._instances[section]


def _is_used(gateway: Gateway, nginx: Nginx, before: int) -> bool:
    try:
        address = f"http://127.0.0.1:{nginx.port}{_ASKED}"
        ask(address, timeout_s=_ANSWERS_WITHIN_S)
        return _count_requests(gateway) > before
    except httpx.HTTPError:
        return False


def _count_requests(gateway: Gateway) -> int:
    """Return how many of our requests have reached a gateway."""
    found = re.search(
        rf'^dousheng_http_served_seconds_count{{[^}}]*route="{_ASKED}"[^}}]*}} (\d+)',
        gateway.get("metrics"),
        re.MULTILINE,
    )
    return int(found[1]) if found else 0


def _nginx_of(components: Iterable[Component]) -> list[Nginx]:
    return [item for item in components if isinstance(item, Nginx)]
