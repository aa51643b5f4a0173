"""The two users of a conversation, in an order of their own: that of their ids."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Participants:
    """Two users, the smaller id first, so that both of them name the same conversation."""

    low_id: int
    high_id: int

    @classmethod
    def of(cls, user_id: int, other_id: int) -> Self:
        """Return the participants of the conversation between two users, in whichever order they are named."""
        return cls(min(user_id, other_id), max(user_id, other_id))
