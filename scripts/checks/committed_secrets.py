"""Finds private keys, access keys, and passwords in URLs in the files that are committed, or are going to be."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from scripts.checks.sources import REPOSITORY

# Every hash of a lock file looks like a secret. What is named "password" in our code is a setting's name: values are found by their form.
NO_SOURCES = {".lock"}
LEFT_OUT_PLUGINS = ("KeywordDetector",)


def list_files() -> list[Path]:
    """Return the files of the repository that git knows, or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    paths = (REPOSITORY / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.suffix not in NO_SOURCES and path.is_file()]


def find_secrets(paths: Iterable[Path]) -> str:
    """Return the report on what looks like a secret, with its kind and place; nothing where there is none."""
    hook = Path(sys.executable).with_name("detect-secrets-hook")
    plugins = [part for name in LEFT_OUT_PLUGINS for part in ("--disable-plugin", name)]
    command: list[str | Path] = [hook, "--no-verify", *plugins, *paths]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


if __name__ == "__main__":
    report = find_secrets(list_files())
    print(report)
    sys.exit(bool(report))
