"""The stack of a benchmark: private ports, a folder of its own, its database filled with a population."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.benchmarks.report import BenchError
from scripts.population.amounts import PARTS, Amounts
from scripts.private_files import make_private_dir, write_private
from scripts.stack.ports import find_free_port_base
from scripts.stack.seed import seed_population
from scripts.stack.site import LOCALHOST, REPOSITORY
from scripts.stack.stack import Stack

FOLDER = REPOSITORY / ".run" / "bench"
FULL = Amounts(
    seed=1, users=10_000, videos=100_000, likes=1_000_000, follows=100_000, comments=300_000, messages=50_000
)  # fmt: skip
# All load comes from one address, which is one network to the gateway. The limits of users stay as they are, and all are counted.
SETTINGS = {
    "DOUSHENG_GATEWAY__RATE_LIMIT__ADDRESS_RATE_PER_S": "1000000",
    "DOUSHENG_GATEWAY__RATE_LIMIT__ADDRESS_BURST_REQUESTS": "1000000",
}


@dataclass(frozen=True)
class Place:
    """A running stack, filled; `ceiling_port` is free beside it, `folder` is for files of the run."""

    stack: Stack
    amounts: Amounts
    ceiling_port: int
    folder: Path

    def addresses(self) -> dict[str, str]:
        """Return where the API is reached, by the way to it."""
        ports = self.stack.site.ports
        return {
            "direct": f"{LOCALHOST}:{ports.of('gateway')}",
            "nginx": f"{LOCALHOST}:{ports.of('nginx')}",
        }

    def pids(self) -> dict[str, int]:
        """Return the process ids of the stack, by name."""
        return {item.name: item.pid for item in self.stack.status() if item.pid is not None}


def scaled(scale: float) -> Amounts:
    """Return the full population times `scale`."""
    return replace(FULL, **{part: max(round(getattr(FULL, part) * scale), 1) for part in PARTS})


def parse_settings(texts: Sequence[str]) -> dict[str, str]:
    """Return the variables of settings that are given as `section.key=value`.

    Raises:
        BenchError: one has another form.
    """
    variables = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or "." not in name:
            raise BenchError(f"--set {text}: write it as gateway.card_cache_mb=0")
        variables["DOUSHENG_" + name.replace(".", "__").upper()] = value
    return variables


@contextmanager
def running_place(
    amounts: Amounts, settings: Mapping[str, str], *, workers: int = 1, is_kept: bool = True
) -> Iterator[Place]:
    """Bring the stack up, filled with these amounts, and take it down at the end; what was filled before is used again, if it was kept.

    Raises:
        BenchError: another benchmark of this clone runs.
        StackError: it does not come up.
    """
    with _alone():
        _remove_others(amounts)
        stack = Stack(
            FOLDER,
            _find_base(workers),
            workers=workers,
            die_with_parent=True,
            overrides=SETTINGS | _given(os.environ) | dict(settings),
            report=print,
        )
        try:
            stack.up()
            if not _marker().exists():
                seed_population(stack, amounts)
            if is_kept:
                write_private(_marker(), repr(amounts))
            yield Place(stack, amounts, find_free_port_base(), make_private_dir(FOLDER / "plans"))
        finally:
            stack.down()


@contextmanager
def _alone() -> Iterator[None]:
    make_private_dir(FOLDER.parent)
    with (FOLDER.parent / "bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise BenchError("another scripts/bench of this clone runs; wait for its end") from exc
        yield


def _marker() -> Path:
    return FOLDER / "population"


def _remove_others(amounts: Amounts) -> None:
    """Remove a folder that holds something else, or half of it."""
    if FOLDER.exists() and not (_marker().exists() and _marker().read_text() == repr(amounts)):
        Stack(FOLDER).down()
        shutil.rmtree(FOLDER)


def _given(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("DOUSHENG_") and "__" in name
    }


def _find_base(workers: int) -> int:
    # etcd and others keep their addresses in their data.
    known = FOLDER / "port_base"
    return int(known.read_text()) if known.exists() else find_free_port_base(workers)
