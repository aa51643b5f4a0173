"""Where the trial keeps what is its own: below .run/compose-test, for its owner alone."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.private_files import make_private_dir
from scripts.stack.report import StackError
from scripts.stack.site import REPOSITORY

STAND_INS = Path(__file__).parent / "images"
REQUIREMENTS = Path(__file__).parent / "requirements.lock"
# Tells tests/compose in the environment that the project is up, and from which folder.
TESTED_PROJECT = "DOUSHENG_TESTED_PROJECT"


@dataclass(frozen=True)
class Place:
    """The folders and files of one run."""

    home: Path = REPOSITORY / ".run" / "compose-test"

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.logs, self.client_config):
            make_private_dir(folder)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other runs out while the block runs.

        Raises:
            StackError: there is one.
        """
        with (self.home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise StackError(
                    f"another scripts/test-compose works in {self.home}", fix="wait for its end"
                ) from exc
            yield

    @property
    def data(self) -> Path:
        """The engine's images and layers, which stay from run to run; containers and volumes do not."""
        return self.home / "data"

    @property
    def logs(self) -> Path:
        """One log per step."""
        return self.home / "log"

    @property
    def client_config(self) -> Path:
        """The client's own settings, instead of those of whoever runs the trial."""
        return self.home / "client"

    @property
    def clone(self) -> Path:
        """What a fresh clone would hold; the project is brought up from there."""
        return self.home / "clone"

    @property
    def compose_packages(self) -> Path:
        """Where pip has put Docker Compose."""
        return self.home / "compose"

    @property
    def compose(self) -> Path:
        """Docker Compose, a program of its own."""
        return self.compose_packages / "bin" / "docker-compose"

    @property
    def measured(self) -> Path:
        """What the last run measured."""
        return self.home / "measured.md"
