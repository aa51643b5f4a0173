"""Files of one stack: templates, ends of logs, and the programs of servers."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from scripts.stack.report import StackError

_PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


def render(template: Path, values: Mapping[str, object]) -> str:
    """Fill `${UPPER_CASE}` placeholders; everything else, nginx's `$variables` too, stays.

    Raises:
        StackError: the template names a value that is not given.
    """

    def fill(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise StackError(f"{template} names ${{{match[1]}}}, which nothing sets")
        return str(values[match[1]])

    return _PLACEHOLDER.sub(fill, template.read_text())


def read_tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log, none where it does not exist."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024 - 400 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def find_command(name: str) -> str | None:
    """Return the path of a program, also where only root has its folder on PATH; None if missing."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS)


def get_command(name: str, *, fix: str = "run scripts/setup") -> str:
    """Return the path of a program; `fix` is what installs it.

    Raises:
        StackError: it is not installed.
    """
    if (path := find_command(name)) is None:
        raise StackError(f"not installed: {name}", fix=fix)
    return path
