"""What a check can come to."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    subject: str  # the process, or the part of the system, as an operator calls it
    what: str  # goes on after the subject: "does not answer"
    evidence: str
    next_command: str


class Away(Exception):
    """What was looked for is not there, so that nothing that stands on it can be looked at."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(", ".join(finding.subject for finding in findings))
        self.findings = tuple(findings)


class NotHere(Exception):
    """The check makes no sense in this place; the text says why."""
