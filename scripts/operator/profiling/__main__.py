"""Takes flame graphs of running processes, says where they are and which functions were the busiest.

The processes go on; being looked at costs them nothing that callers notice. Exit status: 0 done, 1 a process could not be looked into, 2
no such process runs.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from scripts.operator.profiling.flame_graph import count_samples, list_busiest
from scripts.operator.profiling.processes import NoSuchProcess, find_pid
from scripts.private_files import make_private_dir

DONE, NOT_SEEN, NO_PROCESS = 0, 1, 2
SAMPLES_PER_S = 100
SHOWN = 10
# py-spy first reads where the interpreter keeps what.
START_WITHIN_S = 60
LAST_ROUND = "last-round"
IDLE = "No stack counts found"


class NotSeen(Exception):
    """py-spy could not look into a process; the text says why and what to do."""


def take(name: str, pid: int, *, seconds: int, folder: Path) -> Path | None:
    """Return the picture of a process; None where it did nothing.

    Raises:
        NotSeen: py-spy may not, or cannot, look into it.
    """
    make_private_dir(folder)
    picture = folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.svg"
    command = [
        *(str(Path(sys.executable).with_name("py-spy")), "record", "--nonblocking", "--function"),
        *("--pid", str(pid), "--duration", str(seconds), "--rate", str(SAMPLES_PER_S)),
        *("--output", str(picture)),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + START_WITHIN_S
        )
    except subprocess.TimeoutExpired as exc:
        raise NotSeen(f"{name}: py-spy does not come to an end; is the process frozen?") from exc
    if done.returncode == 0:
        return picture
    said = f"{done.stdout}\n{done.stderr}".strip()
    if IDLE in said:
        return None
    if "permission denied" in said.lower():
        raise NotSeen(
            f"{name}: looking into it takes root, CAP_SYS_PTRACE or kernel.yama.ptrace_scope=0"
        )
    raise NotSeen(f"{name}: {said.splitlines()[0]}")


def show(name: str, picture: Path | None, *, seconds: int) -> None:
    """Print where the picture is and what stands in it."""
    if picture is None:
        print(f"{name} did nothing for {seconds} s, there is no picture")
        return
    svg = picture.read_text(encoding="utf-8")
    samples = count_samples(svg)
    busy = samples / (seconds * SAMPLES_PER_S)
    print(
        f"{name}: {os.path.relpath(picture)}  ({samples} samples, busy for about {busy:.0%} of {seconds} s)"
    )
    for share in list_busiest(svg, SHOWN):
        print(f"  {share.own / samples:6.1%}  {share.function}")


def forget_old(name: str, folder: Path, *, keep: int) -> None:
    """Delete all pictures of a process but the newest."""
    stamp = "[0-9]" * 8 + "T" + "[0-9]" * 6 + "Z"
    for picture in sorted(folder.glob(f"{name}-{stamp}.svg"))[:-keep]:
        picture.unlink()


def take_all(options: argparse.Namespace) -> int:
    """Take one picture of each process, one after the other; return the exit status."""
    status = DONE
    for name in options.names:
        try:
            pid = find_pid(name, options.run_dir)
            picture = take(name, pid, seconds=options.seconds, folder=options.out)
        except (NoSuchProcess, NotSeen) as exc:
            print(exc, file=sys.stderr)
            status = NO_PROCESS if isinstance(exc, NoSuchProcess) else NOT_SEEN
        else:
            show(name, picture, seconds=options.seconds)
            forget_old(name, options.out, keep=options.keep)
    return status


def main(arguments: Sequence[str]) -> int:
    """Entry of scripts/profile."""
    options = _parse(arguments)
    options.run_dir = options.run_dir.resolve()
    options.out = options.out or options.run_dir / "profiles"
    if options.every is None:
        return take_all(options)
    while True:
        due_s = time.monotonic() + options.every
        # A process that is away now may be back the next time.
        take_all(options)
        sys.stdout.flush()
        # By its age whoever supervises this sees that it goes on.
        (make_private_dir(options.out) / LAST_ROUND).touch()
        time.sleep(max(0.0, due_s - time.monotonic()))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="a service or gateway of scripts/status: user, user-2",
    )
    parser.add_argument("--seconds", type=_count, default=10, help="for how long (default 10)")
    parser.add_argument("--out", type=Path, help="the folder for pictures (default .run/profiles)")
    parser.add_argument(
        "--every",
        type=_count,
        metavar="SECONDS",
        help="go on, and take one so often, until stopped",
    )
    parser.add_argument(
        "--keep", type=_count, default=24, help="how many of each process are kept (default 24)"
    )
    parser.add_argument(
        "--run-dir",
        type=Path,
        default=Path(".run"),
        help="the folder of a local stack (default .run)",
    )
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
