"""How a folder's stack was brought up before: what nobody says anew stays as it was."""

from pathlib import Path

from scripts.private_files import write_private
from scripts.stack.inventory import count_workers
from scripts.stack.ports import parse_base


class Remembered:
    """The marks in one folder, a small file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def base(self) -> int | None:
        """The base of its ports."""
        text = self._read("port_base")
        return parse_base(text) if text else None

    @property
    def workers(self) -> int | None:
        """How many instances of everything it has."""
        text = self._read("workers")
        return count_workers(text) if text else None

    @property
    def replicas(self) -> int:
        """How many replicas MySQL has had: those stay."""
        return int(self._read("mysql_replicas") or 0)

    def has(self, name: str) -> bool:
        """Say whether something is switched on."""
        return (self._folder / name).exists()

    def write(self, name: str, value: int) -> None:
        """Remember a number."""
        write_private(self._folder / name, f"{value}\n")

    def switch(self, name: str, *, is_on: bool) -> None:
        """Remember whether something is on."""
        if is_on:
            write_private(self._folder / name, "on\n")
        else:
            (self._folder / name).unlink(missing_ok=True)

    def _read(self, name: str) -> str:
        path = self._folder / name
        return path.read_text().strip() if path.exists() else ""
