"""Flame graphs of the product's processes under load, by py-spy."""

import subprocess
import sys
from pathlib import Path

from scripts.benchmarks.cast import Cast
from scripts.benchmarks.place import Place
from scripts.benchmarks.report import BenchError
from scripts.benchmarks.works import list_requests
from scripts.benchmarks.wrk import Load, Replay
from scripts.private_files import make_private_dir
from scripts.stack.ports import SERVICES

CONNECTIONS = 64
SAMPLES_PER_S = 200


def profile_work(
    work: str, place: Place, cast: Cast, *, seconds: float, folder: Path
) -> list[Path]:
    """Load the product with a work; return the pictures of those processes that did something, one for each.

    Raises:
        BenchError: py-spy may not look into processes.
    """
    make_private_dir(folder)
    address = place.addresses()["direct"]
    requests = [one.to_bytes(address) for one in list_requests(work, cast)]
    replay = Replay(place.folder, f"{work}-profile", requests)
    watched = {name: pid for name, pid in place.pids().items() if _is_product(name)}
    pictures = {name: folder / f"{work}-{name}.svg" for name in watched}
    watchers = {name: _watch(watched[name], seconds, pictures[name]) for name in watched}
    # py-spy first has to read where each process keeps what.
    replay.run(f"http://{address}/", Load(CONNECTIONS, seconds + 2))
    for name, watcher in watchers.items():
        said, _ = watcher.communicate(timeout=60 + seconds)
        if watcher.returncode != 0 and "No stack counts found" not in said:
            raise BenchError(
                f"py-spy could not look into {name} (it takes root, or kernel.yama.ptrace_scope=0): {said[-400:]}"
            )
    return [path for path in pictures.values() if path.exists()]


def _is_product(name: str) -> bool:
    return name.split("-", maxsplit=1)[0] in {*SERVICES, "gateway"}


def _watch(pid: int, seconds: float, picture: Path) -> "subprocess.Popen[str]":
    picture.unlink(missing_ok=True)
    return subprocess.Popen(
        [
            *(Path(sys.executable).with_name("py-spy"), "record", "--nonblocking"),
            *("--pid", str(pid), "--duration", str(round(seconds))),
            *("--rate", str(SAMPLES_PER_S), "--output", picture),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
