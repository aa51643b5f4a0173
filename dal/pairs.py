"""Two people without an order: whose conversation it is."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Pair:
    """Two users, the smaller id first."""

    low_id: int
    high_id: int

    @classmethod
    def of(cls, user_id: int, other_id: int) -> Self:
        """Return the pair of two users; their order does not matter."""
        return cls(min(user_id, other_id), max(user_id, other_id))
