"""The command behind scripts/test-compose."""

import argparse
import os
import shutil
import signal
import subprocess
import sys

from scripts.compose_test.isolation import run_isolated, settle_inside
from scripts.compose_test.leftovers import find_differences, look
from scripts.compose_test.place import REQUIREMENTS, Place
from scripts.compose_test.report import write_into_document
from scripts.compose_test.steps import Steps
from scripts.compose_test.trial import run_shell, run_trial
from scripts.stack.report import StackError
from scripts.stack.site import REPOSITORY

_DONE, _FAILED, _INTERRUPTED = 0, 1, 130
_PIP_S = 300


def main() -> int:
    """Run the trial, or the part of it that runs inside the inner machine; return the exit status."""
    options = _parse()
    try:
        if options.ready is not None:
            return _run_inside(options)
        return _run_outside(options)
    except StackError as exc:
        print(f"\n{exc}", file=sys.stderr)
        return _FAILED
    except subprocess.TimeoutExpired as exc:
        print(f"\n{exc}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/test-compose",
        description="Brings docker-compose.yml up without a registry, on an engine of its own that leaves nothing behind, and"
        " plays the main job, scaling, kills, and a restart. Needs root. The first time takes about half an hour.",
    )
    parser.add_argument("--fresh", action="store_true", help="make every image anew")
    parser.add_argument(
        "--write-docs", action="store_true", help="put what was measured into dockerfiles/README.md"
    )
    parser.add_argument(
        "--shell",
        action="store_true",
        help="no trial: a shell beside an engine that has all images",
    )
    parser.add_argument("--ready", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_outside(options: argparse.Namespace) -> int:
    if os.getuid() != 0:
        raise StackError("an engine of its own needs root", fix="run it as root")
    place = Place()
    place.make()
    with place.claimed():
        return _try_all(place, options)


def _try_all(place: Place, options: argparse.Namespace) -> int:
    if options.fresh:
        shutil.rmtree(place.data, ignore_errors=True)
    _install_compose(place)
    before = look()
    flags = ["--shell"] if options.shell else []
    try:
        status = run_isolated([sys.executable, "-m", "scripts.compose_test", *flags])
    except KeyboardInterrupt:
        status = _INTERRUPTED
    differences = find_differences(before)
    if differences:
        raise StackError("\n".join(["the machine is not as it was before:", *differences]))
    print("the machine is as it was: packet filter, links, mounts, control groups, processes")
    if status == _DONE and options.write_docs:
        write_into_document(place.measured.read_text(encoding="utf-8"))
    return status


def _install_compose(place: Place) -> None:
    if place.compose.exists():
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-input"]
    Steps(place.logs).run(
        "Docker Compose",
        [*pip, "--target", str(place.compose_packages), "-r", str(REQUIREMENTS)],
        timeout_s=_PIP_S,
    )


def _run_inside(options: argparse.Namespace) -> int:
    def stop(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(number)

    signal.signal(signal.SIGTERM, stop)
    settle_inside(options.ready)
    place = Place()
    if options.shell:
        run_shell(place)
        return _DONE
    text = run_trial(place)
    place.measured.write_text(text, encoding="utf-8")
    print(f"\n{text}\n{place.measured.relative_to(REPOSITORY)} has the same")
    return _DONE


if __name__ == "__main__":
    sys.exit(main())
