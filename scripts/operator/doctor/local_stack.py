"""The local stack as a place: its processes have names, a supervisor, and logs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.operator.doctor.place import Place
from scripts.stack import ProcessStatus, Stack
from scripts.stack.inventory import PRODUCT, make_product, make_servers
from scripts.stack.processes import describe_listener
from scripts.stack.site import REPOSITORY


class LocalStack(Place):
    """The stack of one folder."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        product = make_product(
            stack.site, stack.environment(), dict.fromkeys(PRODUCT, stack.workers)
        )
        self.processes: Mapping[str, str] = {
            item.name: item.address for item in [*make_servers(stack.site), *product]
        }
        self.url = f"http://127.0.0.1:{stack.site.ports.of('nginx')}"
        self.data_dir = stack.site.run_dir
        self.start_command = f"scripts/up{self._elsewhere}"

    def name_of(self, role: str, address: str) -> str:
        """Return the name in scripts/status."""
        names = [name for name, known in self.processes.items() if known == address]
        return names[0] if names else role

    def look_into(self, name: str, address: str) -> str:  # noqa: ARG002 - the name is enough
        """Return what shows its log."""
        return f"scripts/logs {name}{self._elsewhere}"

    def command(self, script: str, *arguments: str) -> str:
        """Return it as it is typed in the checkout."""
        return " ".join([f"scripts/{script}", *arguments])

    def list_processes(self) -> Sequence[ProcessStatus]:
        """Return what supervisord knows of every process."""
        return self._stack.status()

    def describe_stranger(self, address: str) -> str:
        """Return who listens on its port."""
        _, _, port = address.rpartition(":")
        return (describe_listener(int(port)) or "") if port.isdecimal() else ""

    @property
    def certificate_files(self) -> Sequence[Path]:
        """Those of every process, where the stack has TLS."""
        folder = self._stack.site.authority.certificate_file.parent
        found = sorted(folder.glob("*.pem")) if self._stack.site.has_tls else []
        return [path for path in found if not path.stem.endswith("-key")]

    @property
    def _elsewhere(self) -> str:
        run_dir = self._stack.site.run_dir
        return "" if run_dir == REPOSITORY / ".run" else f" --run-dir {run_dir}"
