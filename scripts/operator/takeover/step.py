"""What a step of a takeover is: rows of one table of the original become rows of ours, in a total order."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, Table

from dal.db.takeover.target import Rows
from pkg.ids import MAX_ID
from scripts.operator.takeover.findings import Findings, Kind
from scripts.operator.takeover.times import Clock


@dataclass
class Taken:
    """What was taken over so far, as far as later rows point at it; a few hundred bytes for each account and video."""

    users: set[int] = field(default_factory=set)
    # By video: its author, and when it was published.
    videos: dict[int, tuple[int, int]] = field(default_factory=dict)
    # By comment: whether it can be seen.
    comments: dict[int, bool] = field(default_factory=dict)
    # By millisecond since 1970: how many follows.
    follows: Counter[int] = field(default_factory=Counter)


class Step(ABC):
    """One table. `state` is what it must remember from row to row, as JSON."""

    name: str
    query: Select[Any]
    rows_per_batch = 5_000

    def __init__(self, taken: Taken, clock: Clock) -> None:
        self.taken = taken
        self.clock = clock
        self.state: dict[str, Any] = {}

    @property
    def source(self) -> str:
        """The name of the original's table."""
        return table_name(self.query)

    @abstractmethod
    async def convert(self, rows: Sequence[Any], findings: Findings) -> Mapping[Table, Rows]:
        """Return the rows of ours that these rows of the original become, and say what was wrong with them."""


def table_name(query: Select[Any]) -> str:
    """Return the name of the one table that a query reads."""
    return str(query.get_final_froms()[0])


def is_usable(row_id: Any, findings: Findings, what: str) -> bool:
    """Tell whether an id may stay as it is, and say where not."""
    if isinstance(row_id, int) and 1 <= row_id <= MAX_ID:
        return True
    findings.add(Kind.ID_UNUSABLE, what)
    return False
