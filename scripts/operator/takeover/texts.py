"""Texts of the original that a new one of ours could not be: cut and cleaned, so that they fit and steer nothing."""

import unicodedata

from pkg.text import LINE_CHARACTERS, REFUSED_CATEGORIES
from scripts.operator.takeover.findings import Findings, Kind


def clean_line(value: str | None, *, max_chars: int) -> str:
    """Return a text of one line in NFC without control characters and white space at its ends."""
    text = unicodedata.normalize("NFC", value or "")
    kept = (char for char in text if unicodedata.category(char) not in REFUSED_CATEGORIES)
    return "".join(kept).strip()[:max_chars].rstrip()


def keep_text(value: str | None, findings: Findings, what: str, *, max_chars: int) -> str:
    """Return a text of several lines without control characters, and say so where it had some or was too long."""
    text = value or ""
    kept = "".join(
        char for char in text if unicodedata.category(char) != "Cc" or char in LINE_CHARACTERS
    )[:max_chars]
    if kept != text:
        findings.add(Kind.TEXT_CLEANED, what)
    return kept
