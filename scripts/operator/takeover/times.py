"""The original's times: wall clock of its host, without a zone. Ours are UTC."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from scripts.operator.takeover.findings import Findings, Kind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Keys of the original end with the time of the upload, which has no zone.
KEY_TIME_MS = re.compile(r"_(\d{13})\.")
MOST_DIFFERENCE = timedelta(minutes=15)


class Clock:
    """Turns wall-clock times of a zone into ours; none is after `now`."""

    def __init__(self, zone: ZoneInfo, *, now_ms: int) -> None:
        self._zone = zone
        self.now_ms = now_ms

    def read(self, value: Any, findings: Findings, what: str) -> int:
        """Return a time in milliseconds since 1970; 0 for one that is missing, now for one in the future.

        Args:
            what: names the row, for the findings.
        """
        found = self.find(value)
        if found is None:
            findings.add(Kind.TIME_UNKNOWN, what)
            return 0
        if found > self.now_ms:
            findings.add(Kind.TIME_IN_FUTURE, f"{what}: {value}")
        return min(found, self.now_ms)

    def find(self, value: Any) -> int | None:
        """Return a time in milliseconds since 1970, or None where there is none; a date of zeros is none."""
        if not isinstance(value, datetime):
            return None
        since = value.replace(tzinfo=self._zone) - EPOCH
        return max(0, since // timedelta(milliseconds=1))

    def find_deletion(self, value: Any) -> datetime | None:
        """Return the time of a deletion as it is stored; a date of zeros is none."""
        found = self.find(value)
        return None if found is None else to_column(min(found, self.now_ms))


def to_column(time_ms: int) -> datetime:
    """Return a time as our columns hold it: UTC without a zone."""
    return (EPOCH + timedelta(milliseconds=time_ms)).replace(tzinfo=None)


def from_column(stored: datetime) -> int:
    """Return the time that `to_column` turned into this."""
    return (stored.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


def find_offset(videos: Iterable[tuple[Any, Any]], clock: Clock) -> timedelta | None:
    """Return how far the zone is off, told by times and keys of videos; None where it is right or nothing tells."""
    differences = []
    for created_at, key in videos:
        found, in_key = clock.find(created_at), KEY_TIME_MS.search(str(key))
        if found is not None and in_key:
            differences.append(found - int(in_key[1]))
    if not differences:
        return None
    offset = timedelta(milliseconds=median(differences))
    return offset if abs(offset) > MOST_DIFFERENCE else None
