"""What the people of a load were answered, call by call, and what must therefore be there afterwards."""

import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from dal.registers.model import Kind
from tests.system.app import Json, read_envelope

# A call of these kinds changes nothing: whoever sees it fail may make it again.
SAFE_TO_REPEAT = frozenset(
    {
        *("feed", "user", "publish list", "publish status", "likes", "comments", "followed"),
        *("followers", "friends", "chat", "media"),
    }
)
KINDS = SAFE_TO_REPEAT | {"like", "follow", "comment", "message", "publish", "login"}

# The contract's deadline of every call; an upload of a few kilobytes keeps it too.
DEADLINE_S = 10.0
# What a busy machine may add on the client's side.
TOLERANCE_S = 2.0

Pair = tuple[Kind, int, int]


@dataclass(frozen=True)
class Call:
    """One call and how it ended; times are of the monotonic clock."""

    kind: str
    began_s: float
    ended_s: float
    # Empty for a success, such as "503 10010" for a refusal, else the name of what broke.
    error: str = ""

    @property
    def took_s(self) -> float:
        """How long the caller waited."""
        return self.ended_s - self.began_s

    @property
    def is_refusal_of_an_outage(self) -> bool:
        """Whether the failure is what a caller may meet while something is down: 503, in the envelope."""
        return self.error.startswith("503 ") and "without" not in self.error


@dataclass(frozen=True)
class Sent:
    """A chat message; one that was not acknowledged may have arrived or not."""

    text: str
    acknowledged: bool


@dataclass
class Ledger:
    """Every call of a load, and what was acknowledged.

    A write that was answered with an error or not at all has an unknown outcome: its effect may be there or not.
    """

    calls: list[Call] = field(default_factory=list)
    # Which states a pair may end in: the last acknowledged one, and those that failed since.
    registers: dict[Pair, set[bool]] = field(default_factory=lambda: defaultdict(lambda: {False}))
    # The id of each acknowledged comment, by its text; every text is written once.
    comments: dict[str, int] = field(default_factory=dict)
    unknown_comments: set[str] = field(default_factory=set)
    # By sender and receiver, in the order of sending; every text is sent once.
    messages: dict[tuple[int, int], list[Sent]] = field(default_factory=lambda: defaultdict(list))
    # What a reader who asks with the last time that was seen got, by (sender, receiver).
    polled: dict[tuple[int, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    pushed: dict[tuple[int, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    # Acknowledged uploads: (author, video).
    uploads: list[tuple[int, int]] = field(default_factory=list)
    _in_flight: list[tuple[str, float]] = field(default_factory=list)

    # Writing

    async def make(self, kind: str, sending: Awaitable[httpx.Response]) -> Json | None:
        """Make one call and write down how it ended; return the body of a success, else None."""
        began_s = time.monotonic()
        error, body = "cancelled", None
        with self._flying(kind, began_s):
            try:
                error, body = read_outcome(await sending)
            except httpx.HTTPError as exc:
                error = type(exc).__name__
            finally:
                self.calls.append(Call(kind, began_s, time.monotonic(), error))
        return None if error else body

    @contextmanager
    def _flying(self, kind: str, began_s: float) -> Iterator[None]:
        entry = (kind, began_s)
        self._in_flight.append(entry)
        try:
            yield
        finally:
            self._in_flight.remove(entry)

    def note_register(self, pair: Pair, *, active: bool, acknowledged: bool) -> None:
        """Write down what a person did to a target."""
        if acknowledged:
            self.registers[pair] = {active}
        else:
            self.registers[pair].add(active)

    # Reading

    @property
    def in_flight(self) -> Counter[str]:
        """How many calls of each kind wait for their reply at this moment."""
        return Counter(kind for kind, _ in self._in_flight)

    def between(self, since_s: float, until_s: float = float("inf")) -> list[Call]:
        """Return the calls that were on their way at any moment between two times of the monotonic clock."""
        return [call for call in self.calls if call.ended_s >= since_s and call.began_s <= until_s]

    def failures(self, since_s: float = 0, until_s: float = float("inf")) -> list[Call]:
        """Return the calls of `between` that were not acknowledged."""
        return [call for call in self.between(since_s, until_s) if call.error]

    def late(self, since_s: float = 0) -> list[Call]:
        """Return the calls whose callers waited beyond the contract's deadline."""
        longest_s = DEADLINE_S + TOLERANCE_S
        return [call for call in self.between(since_s) if call.took_s > longest_s]


def read_outcome(response: httpx.Response) -> tuple[str, Json]:
    """Return the error, empty for a success, and the body; media have none."""
    if not response.headers.get("content-type", "").startswith("application/json"):
        return ("" if response.is_success else f"{response.status_code} without envelope"), {}
    body = read_envelope(response)
    code = body["status_code"]
    if response.status_code in {429, 503} and "retry-after" not in response.headers:
        return f"{response.status_code} {code} without Retry-After", body
    return ("" if response.is_success and code == 0 else f"{response.status_code} {code}"), body


def count_by_kind(calls: Iterable[Call]) -> dict[str, int]:
    """Return how many calls there are of each kind and error, as one prints them."""
    return dict(Counter(f"{call.kind}: {call.error or 'done'}" for call in calls).most_common())
