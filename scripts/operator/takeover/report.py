"""What a takeover did, or would do, for a person."""

from collections.abc import Mapping, Sequence

from dal.db.takeover.progress import StepProgress
from scripts.operator.takeover.findings import Findings
from scripts.operator.takeover.step import Step


def show(progress: Mapping[str, StepProgress], steps: Sequence[Step]) -> None:
    """Print how many rows became ours, what was repaired and what was left out."""
    print(f"{'':<16}{'rows':>14}{'taken over':>14}{'left out':>14}")
    everything = Findings()
    for step in steps:
        done = progress[step.name]
        findings = Findings.from_json(done.findings)
        left_out = sum(number for kind, number, _ in findings if not kind.is_kept)
        taken = done.rows_read - left_out
        print(f"{step.name:<16}{done.rows_read:>14,}{taken:>14,}{left_out:>14,}")
        everything.merge(findings)
    if "counters" in progress:
        everything.merge(Findings.from_json(progress["counters"].findings))
    for title, is_kept in (("repaired or noted", True), ("left out", False)):
        print(title)
        for kind, number, examples in everything:
            if kind.is_kept is is_kept:
                print(f"{number:>12,}  {kind.label}")
                for example in examples:
                    print(f"{'':>16}{example}")
