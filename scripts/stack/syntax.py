"""Values as the files of other programs want them: one function for each syntax, and any text survives each.

Paths that servers read are plain ones, see `Site.place`; the product's processes take any.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.stack.report import StackError

_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SQL_ESCAPES = str.maketrans(
    {"\\": r"\\", "'": r"\'", "\0": r"\0", "\n": r"\n", "\r": r"\r", "\x1a": r"\Z"}
)


def to_shell(values: Mapping[str, str]) -> str:
    """Return NAME=value lines that a shell can source.

    Raises:
        StackError: a name is none that a shell knows.
    """
    for name in values:
        if not _SHELL_NAME.fullmatch(name):
            raise StackError(f"{name!r} cannot be the name of a variable")
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(values.items()))


def to_launch_script(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    remove: Sequence[str] = (),
    preparation: Sequence[str] = (),
) -> str:
    """Return a shell script that removes files, runs the lines of `preparation` and becomes the command.

    supervisord's own syntax cannot hold every value.
    """
    lines = [
        "set -a",
        to_shell(environment).rstrip("\n"),
        "set +a",
        f"cd {shlex.quote(str(directory))} || exit",
    ]
    if remove:
        lines.append(f"rm -f -- {shlex.join(remove)}")
    return "\n".join([*lines, *preparation, f"exec {shlex.join(command)}", ""])


def to_sql(value: str) -> str:
    """Return a text literal of MySQL in one line, for a server that keeps backslashes as escapes."""
    return f"'{value.translate(_SQL_ESCAPES)}'"


def to_redis(value: str) -> str:
    """Return an argument in a configuration file of Redis, which knows bytes alone."""
    plain = (chr(byte) if _is_plain(byte) else f"\\x{byte:02x}" for byte in value.encode())
    return f'"{"".join(plain)}"'


def to_toml(sections: Mapping[str, Mapping[str, str]]) -> str:
    """Return a TOML document of sections that hold texts."""
    lines = []
    for name, values in sections.items():
        # JSON escapes everything that TOML wants escaped but DEL.
        pairs = (
            f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", r"\u007f")
            for key, value in values.items()
        )
        lines += [f"[{name}]", *pairs]
    return "\n".join([*lines, ""])


def _is_plain(byte: int) -> bool:
    return 0x20 <= byte < 0x7F and chr(byte) not in '"\\'
