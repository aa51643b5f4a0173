"""Looks at everything as an operator would and prints what is wrong, each with the next command to type; changes nothing.

Processes, ports, disk, clocks, replication, queues, likes and follows on their way, certificates and keys, the schema, and, by sample,
counters and the storage. What stands on something that is away is not looked at. Exit status: 0 all is well, 1 something is wrong, 2 it
could not look, at all or at a part that nothing else explains.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dal.db.engine import Database
from pkg.settings import SettingsError
from scripts.operator.console import quiet_logs
from scripts.operator.doctor.checks import list_checks
from scripts.operator.doctor.examination import Outcome, State, examine
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.place import Place
from scripts.operator.doctor.surroundings import find_place
from scripts.operator.doctor.target import DoctorSettings, Target

WELL, WRONG, CANNOT_LOOK = 0, 1, 2
DEFAULT_WITHIN_S = 3.5
# What is left is for what stands on those who have answered.
SHARE_OF_ANSWERS = 0.5


async def look(
    settings: DoctorSettings, place: Place, url: str | None, within_s: float
) -> list[Outcome]:
    """Return how every check ended."""
    answer_s = within_s * SHARE_OF_ANSWERS
    settings = settings.waiting_at_most(answer_s, within_s=within_s)
    database = Database(settings.mysql)
    target = Target(settings, place, database, url or place.url, answer_s)
    checks = list_checks(finds_services_by_etcd=not place.processes)
    try:
        return await examine(checks, target, within_s=within_s)
    finally:
        await database.close()


def merge_findings(outcomes: Sequence[Outcome]) -> list[Finding]:
    """Return one finding for each subject: what several checks say of it is evidence."""
    merged: dict[str, Finding] = {}
    for finding in (finding for outcome in outcomes for finding in outcome.findings):
        known = merged.setdefault(finding.subject, finding)
        if known is not finding:
            evidence = f"{known.evidence}; {finding.evidence}"
            merged[finding.subject] = Finding(
                known.subject, known.what, evidence, known.next_command
            )
    return list(merged.values())


def find_status(outcomes: Sequence[Outcome]) -> int:
    """Return the exit status."""
    if any(outcome.findings for outcome in outcomes):
        return WRONG
    return CANNOT_LOOK if any(outcome.state == State.UNKNOWN for outcome in outcomes) else WELL


def show(outcomes: Sequence[Outcome], *, seconds: float) -> None:
    """Print it for a person."""
    findings = merge_findings(outcomes)
    for finding in findings:
        print(f"{finding.subject} {finding.what}")
        print(f"    {finding.evidence}")
        print(f"    next: {finding.next_command}")
    unknown: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.reason:
            unknown.setdefault(outcome.reason, []).append(outcome.check.name)
    for reason, names in unknown.items():
        print(f"not looked at: {', '.join(names)}: {reason}")
    looked = sum(not outcome.reason for outcome in outcomes)
    is_whole = find_status(outcomes) == WELL
    nothing = "nothing is wrong" if is_whole else "nothing wrong was found, but not all was seen"
    verdict = f"{len(findings)} wrong" if findings else nothing
    print(f"{looked} of {len(outcomes)} things looked at in {seconds:.1f} s: {verdict}")


def to_json(outcomes: Sequence[Outcome]) -> str:
    """Return it for a program."""
    content = {
        "status": find_status(outcomes),
        "findings": [asdict(finding) for finding in merge_findings(outcomes)],
        "checks": [
            {"name": item.check.name, "state": item.state.value, "reason": item.reason}
            for item in outcomes
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def main() -> int:
    """Entry of scripts/doctor."""
    options = _parse()
    quiet_logs()
    begun = time.monotonic()
    try:
        place = find_place(options.run_dir)
        settings = DoctorSettings.load()
    except (SettingsError, LookupError) as exc:
        print(f"cannot look: {exc}", file=sys.stderr)
        return CANNOT_LOOK
    outcomes = asyncio.run(look(settings, place, options.url, options.within))
    if options.json:
        print(to_json(outcomes))
    else:
        show(outcomes, seconds=time.monotonic() - begun)
    return find_status(outcomes)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/doctor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--url",
        help="where clients call the product, such as https://api.example (default: the local nginx)",
    )
    parser.add_argument(
        "--within",
        type=float,
        default=DEFAULT_WITHIN_S,
        metavar="SECONDS",
        help=f"how long everything may take (default {DEFAULT_WITHIN_S}); whoever has not answered after half of it is away",
    )
    parser.add_argument(
        "--run-dir",
        type=Path,
        default=Path(".run"),
        help="the folder of a local stack (default .run), unless the environment names a database",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
