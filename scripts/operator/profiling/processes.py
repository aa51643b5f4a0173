"""The product's processes on this machine, by the names of scripts/status."""

from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

GATEWAY, SERVICES = "gateway", "services."


class NoSuchProcess(Exception):
    """There is no running process of this name; the text says which there are."""


def find_pid(name: str, run_dir: Path) -> int:
    """Return the id of a process of the stack in a folder, or, where there is none, of any that is seen here.

    Raises:
        NoSuchProcess: none of this name runs.
    """
    known = _list_local(run_dir) if (run_dir / "env").exists() else _list_seen()
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise NoSuchProcess(f"no process {name!r} of the product runs here; there are: {there}")
    return known[name]


def _list_local(run_dir: Path) -> dict[str, int]:
    """Return the ids that the supervisor of a stack knows; servers are no Python."""
    # An image of the product has none.
    if find_spec("scripts.stack") is None:
        return {}
    from scripts.stack import Stack  # noqa: PLC0415

    return {
        status.name: status.pid
        for status in Stack(run_dir).status()
        if status.kind == "service" and status.pid is not None
    }


def _list_seen() -> dict[str, int]:
    """Return what runs a module of the product; of several that run the same one the second is called user-2."""
    found: dict[str, int] = {}
    for section, pid in _list_modules():
        names = (section, *(f"{section}-{number}" for number in range(2, 1000)))
        found[next(name for name in names if name not in found)] = pid
    return found


def _list_modules() -> Iterator[tuple[str, int]]:
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        # It may end at any moment.
        with suppress(OSError):
            words = (folder / "cmdline").read_text(errors="replace").split("\0")
            module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
            is_python = "python" in Path(words[0]).name
            if is_python and (module == GATEWAY or module.startswith(SERVICES)):
                yield module.removeprefix(SERVICES), int(folder.name)
