"""scripts/README.md lists every command with the options that it has, and no others."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from scripts.stack.site import REPOSITORY

pytestmark = pytest.mark.processes

SCRIPTS = REPOSITORY / "scripts"
COMMANDS = sorted(
    path.name for path in SCRIPTS.iterdir() if path.is_file() and os.access(path, os.X_OK)
)


def read_table() -> dict[str, set[str]]:
    """Return the options that the README tells, by command."""
    rows = re.findall(
        r"^\| `scripts/([a-z-]+)` \|([^|]*)\|", (SCRIPTS / "README.md").read_text(), re.MULTILINE
    )
    return {name: set(re.findall(r"--[a-z-]+", options)) for name, options in rows}


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path: Path = SCRIPTS / command
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False)


def test_the_readme_lists_every_command() -> None:
    assert set(read_table()) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_the_options_that_the_readme_lists(command: str) -> None:
    done = run(command, "--help")

    assert done.returncode == 0, done.stderr
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", done.stdout)) - {"--help"}
    assert told == read_table()[command]


# The others are read by argparse.
@pytest.mark.parametrize("command", ["check", "rotate-keys", "setup", "test"])
def test_an_unknown_option_is_refused(command: str) -> None:
    done = run(command, "--no-such-option")

    assert done.returncode != 0
    assert "no-such-option" in done.stderr
