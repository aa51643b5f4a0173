"""Measures the product on a stack of its own, filled with a population, beside what FastAPI does with a constant body in the same run."""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from pkg.log import quiet_drivers
from scripts.benchmarks.cast import Cast, load_cast
from scripts.benchmarks.effects import measure_effects
from scripts.benchmarks.growth import SMALLEST, measure_growth
from scripts.benchmarks.place import Place, parse_settings, running_place, scaled
from scripts.benchmarks.profiles import profile_work
from scripts.benchmarks.report import BenchError
from scripts.benchmarks.results import Measured, read_results, write_results
from scripts.benchmarks.rounds import Course, measure_work
from scripts.benchmarks.soak import soak
from scripts.benchmarks.startup import measure_startup
from scripts.benchmarks.tables import render_comparison, render_costs, render_rates
from scripts.benchmarks.works import SEQUENCES
from scripts.stack.report import StackError
from scripts.stack.site import REPOSITORY

WAYS = ("direct", "nginx")
# What is no work of many rounds, and is asked for by its name alone.
GROWTH, SOAK, STARTUP = "growth", "soak", "startup"
SUBJECTS = (*SEQUENCES, STARTUP, GROWTH, SOAK)
ROUND_S, SOAK_S = 5.0, 600.0
PICTURES = REPOSITORY / ".run" / "bench-pictures"


def main() -> int:
    """Entry of scripts/bench; return the exit status."""
    quiet_drivers()
    options = _parse()
    try:
        run(options)
    except (BenchError, StackError) as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(options: argparse.Namespace) -> None:
    """Measure what was named, and print what came out.

    Raises:
        BenchError, StackError: it cannot go on.
    """
    alone = {GROWTH, SOAK, STARTUP}.intersection(options.subject)
    if alone and len(options.subject) > 1:
        raise BenchError(f"{alone.pop()} is measured by itself; name nothing beside it")
    earlier = read_results(options.compare) if options.compare else []
    settings = parse_settings(options.set)
    amounts = SMALLEST if GROWTH in alone else scaled(options.scale)
    with running_place(
        amounts, settings, workers=options.workers, is_kept=GROWTH not in alone
    ) as place:
        if alone:
            print(_measure_alone(alone.pop(), place, options))
            return
        results = _measure_works(place, load_cast(place.stack), options)
    print(render_rates(results))
    print("\n" + render_costs(results))
    if options.compare:
        print("\n" + render_comparison(results, earlier))
    if options.json:
        write_results(options.json, results, _describe(options))


def _measure_alone(subject: str, place: Place, options: argparse.Namespace) -> str:
    if subject == GROWTH:
        PICTURES.mkdir(parents=True, exist_ok=True)
        return measure_growth(place, options.seconds or ROUND_S, PICTURES / "growth.svg")
    cast = load_cast(place.stack)
    if subject == SOAK:
        return soak(place, cast, options.seconds or SOAK_S)
    return measure_startup(place, cast, options.rounds)


def _measure_works(place: Place, cast: Cast, options: argparse.Namespace) -> list[Measured]:
    seconds = options.seconds or ROUND_S
    course = Course(options.connections, options.way or WAYS, seconds, options.rounds)
    results: list[Measured] = []
    for work in options.subject or SEQUENCES:
        _tell(f"{work} …")
        found = measure_work(work, place, cast, course)
        _tell(render_rates(found))
        results += found
        if work == "likes":
            print(measure_effects(cast, place.addresses()["direct"]))
        if options.profile:
            pictures = profile_work(work, place, cast, seconds=seconds, folder=PICTURES)
            _tell("\n".join(str(path) for path in pictures))
    return results


def _tell(text: str) -> None:
    """Say how far it is; the tables go to standard output."""
    print(text, file=sys.stderr, flush=True)


def _describe(options: argparse.Namespace) -> dict[str, object]:
    """Return under which conditions it was measured."""
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "population": repr(scaled(options.scale)),
        "settings": options.set,
        "workers": options.workers,
        "seconds": options.seconds or ROUND_S,
        "rounds": options.rounds,
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    told = (
        f"works: {', '.join(SEQUENCES)} (default: all of them); startup: how soon processes work;"
        " growth: costs with up to 1,000 times the data; soak: memory under ten minutes of mixed"
    )
    parser.add_argument("subject", nargs="*", type=_subject, metavar="SUBJECT", help=told)
    _add_options(parser.add_argument)
    return parser.parse_args()


def _add_options(add: Callable[..., object]) -> None:
    add("--connections", type=_numbers, default=[1, 64, 256], metavar="N,N", help="(1,64,256)")
    add(
        "--way",
        action="append",
        choices=WAYS,
        help="to the gateway directly, or through nginx (both)",
    )
    add(
        "--seconds",
        type=float,
        metavar="S",
        help=f"of each round ({ROUND_S:.0f}), or of the soak ({SOAK_S:.0f})",
    )
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
    add("--profile", action="store_true", help="flame graphs of each process under each work")


def _subject(text: str) -> str:
    if text not in SUBJECTS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SUBJECTS)}")
    return text


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
