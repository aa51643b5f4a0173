"""Measures the product on a stack of its own, filled with a population, beside what FastAPI does with a constant body in the same run."""

import argparse
import os
import platform
import sys
from pathlib import Path

from pkg.log import quiet_drivers
from scripts.benchmarks.cast import load_cast
from scripts.benchmarks.place import parse_settings, running_place, scaled
from scripts.benchmarks.report import BenchError
from scripts.benchmarks.results import Measured, read_results, write_results
from scripts.benchmarks.rounds import Course, measure_work
from scripts.benchmarks.tables import render_comparison, render_costs, render_rates
from scripts.benchmarks.works import SEQUENCES
from scripts.stack.report import StackError

WAYS = ("direct", "nginx")


def main() -> int:
    """Entry of scripts/bench; return the exit status."""
    quiet_drivers()
    options = _parse()
    try:
        measure(options)
    except (BenchError, StackError) as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def measure(options: argparse.Namespace) -> None:
    """Measure the works that were named, and print what came out.

    Raises:
        BenchError, StackError: it cannot go on.
    """
    earlier = read_results(options.compare) if options.compare else []
    works = options.work or list(SEQUENCES)
    course = Course(options.connections, options.way or WAYS, options.seconds, options.rounds)
    results: list[Measured] = []
    settings = parse_settings(options.set)
    with running_place(scaled(options.scale), settings, workers=options.workers) as place:
        cast = load_cast(place.stack)
        for work in works:
            print(f"{work} …", file=sys.stderr, flush=True)
            found = measure_work(work, place, cast, course)
            print(render_rates(found), file=sys.stderr, flush=True)
            results += found
    print(render_rates(results))
    print("\n" + render_costs(results))
    if options.compare:
        print("\n" + render_comparison(results, earlier))
    if options.json:
        write_results(options.json, results, _describe(options))


def _describe(options: argparse.Namespace) -> dict[str, object]:
    """Return under which conditions it was measured."""
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "population": repr(scaled(options.scale)),
        "settings": options.set,
        "workers": options.workers,
        "seconds": options.seconds,
        "rounds": options.rounds,
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    told = f"{', '.join(SEQUENCES)}; default: all of them"
    parser.add_argument("work", nargs="*", type=_work, metavar="WORK", help=told)
    add = parser.add_argument
    add("--connections", type=_numbers, default=[1, 64, 256], metavar="N,N", help="(1,64,256)")
    add(
        "--way",
        action="append",
        choices=WAYS,
        help="to the gateway directly, or through nginx (both)",
    )
    add("--seconds", type=float, default=5, metavar="S", help="of each round (5)")
    add("--rounds", type=int, default=3, metavar="N", help="medians are told (3)")
    add(
        "--scale",
        type=float,
        default=1,
        metavar="X",
        help="of 10,000 users, 100,000 videos, 1,000,000 likes (1)",
    )
    add(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="gateways, and instances of each service (1)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="a setting of the product",
    )
    add("--json", type=Path, metavar="FILE", help="keep what was measured")
    add("--compare", type=Path, metavar="FILE", help="tell ratios to what was kept")
    return parser.parse_args()


def _work(text: str) -> str:
    if text not in SEQUENCES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SEQUENCES)}")
    return text


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
