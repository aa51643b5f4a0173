"""The Python files that the checks look at: what git knows or would add."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_MIGRATIONS = Path("dal/db/migrations")


def list_sources() -> Iterator[Path]:
    """Yield every Python file, relative to the repository; migrations are history and left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in sorted(set(listed.stdout.split("\0"))):
        path = Path(name)
        if name and (REPOSITORY / path).exists() and not path.is_relative_to(_MIGRATIONS):
            yield path


def report(violations: list[str]) -> int:
    """Print the violations and return the exit status."""
    print("\n".join(violations))
    return 1 if violations else 0
