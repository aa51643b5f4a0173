"""Draws a population: who made which video, who likes what, and when. Nothing here knows a server; all numbers begin with 0.

Popularity and activity follow Zipf's law, as in life: a few videos have most of the likes, a few people do most of the liking. Each part
has a generator of its own, so that more comments do not change who likes what.
"""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from scripts.population.amounts import Amounts

# Of 100,000 videos the first 1,000 have a third of the likes.
EXPONENT = 0.8
FOLLOWED_BACK = 0.3
# Seldom more than one video in so many milliseconds.
LONGEST_GAP_MS = 20_000
BLOCK = 50_000


@dataclass(frozen=True)
class Pairs:
    """Who did something to whom or to what, once each, in the order of the doers; a pair is one number."""

    codes: "array[int]"
    width: int

    def __len__(self) -> int:
        return len(self.codes)

    def get(self, index: int) -> tuple[int, int]:
        """Return the doer and the target of a pair."""
        return divmod(self.codes[index], self.width)

    def count_doers(self) -> Counter[int]:
        """Return how many pairs each doer has."""
        return Counter(code // self.width for code in self.codes)

    def count_targets(self) -> Counter[int]:
        """Return how many pairs each target has."""
        return Counter(code % self.width for code in self.codes)


@dataclass(frozen=True)
class World:
    """What was drawn.

    Attributes:
        authors: by video, the oldest first.
        ages_ms: by video: how long before the newest one it was published.
        comments: video and user of each, in no order.
        conversations: two users of whom the first follows the second, by message.
    """

    amounts: Amounts
    authors: Sequence[int]
    ages_ms: Sequence[int]
    likes: Pairs
    follows: Pairs
    comments: Sequence[tuple[int, int]]
    conversations: Sequence[tuple[int, int]]


class Popularity:
    """Draws numbers below `count`: a few of them often, most of them seldom."""

    def __init__(self, random: Random, count: int) -> None:
        self._random = random
        self._numbers = list(range(count))
        random.shuffle(self._numbers)
        weights = (1 / rank**EXPONENT for rank in range(1, count + 1))
        self._cumulative = list(accumulate(weights))

    def draw(self, count: int) -> list[int]:
        """Return so many numbers, repeated ones among them."""
        return self._random.choices(self._numbers, cum_weights=self._cumulative, k=count)


def draw_world(amounts: Amounts) -> World:
    """Return the population of these amounts: always the same one.

    Raises:
        PopulationRefused: there is none.
    """
    amounts.check()
    follows = _draw_follows(_generator(amounts, "follows"), amounts)
    random = _generator(amounts, "videos")
    return World(
        amounts,
        authors=Popularity(random, amounts.users).draw(amounts.videos),
        ages_ms=_draw_ages(random, amounts),
        likes=_draw_likes(_generator(amounts, "likes"), amounts),
        follows=follows,
        comments=_draw_comments(_generator(amounts, "comments"), amounts),
        conversations=_draw_conversations(_generator(amounts, "messages"), amounts, follows),
    )


def _generator(amounts: Amounts, part: str) -> Random:
    # Not for secrets: what is drawn has to be drawn again.
    return Random(f"{amounts.seed} {part}")  # noqa: S311


def _draw_ages(random: Random, amounts: Amounts) -> list[int]:
    """Return the ages of the videos, the oldest first; the newest is 0."""
    gaps = [1] * max(amounts.burst - 1, 0)
    gaps += [random.randint(1, LONGEST_GAP_MS) for _ in range(amounts.videos - 1 - len(gaps))]
    ages = list(accumulate(gaps, initial=0))[: amounts.videos]
    return ages[::-1]


def _draw_likes(random: Random, amounts: Amounts) -> Pairs:
    codes: set[int] = set()
    if amounts.likes:
        fans, videos = Popularity(random, amounts.users), Popularity(random, amounts.videos)
        while (missing := amounts.likes - len(codes)) > 0:
            drawn = min(missing, BLOCK)
            pairs = zip(fans.draw(drawn), videos.draw(drawn), strict=True)
            codes.update(fan * amounts.videos + video for fan, video in pairs)
    return Pairs(array("Q", sorted(codes)), max(amounts.videos, 1))


def _draw_follows(random: Random, amounts: Amounts) -> Pairs:
    """Draw who follows whom; a part of them is followed back."""
    codes: set[int] = set()
    users = amounts.users
    if amounts.follows:
        doers, targets = Popularity(random, users), Popularity(random, users)
        while (missing := amounts.follows - len(codes)) > 0:
            drawn = min(missing, BLOCK)
            for doer, target in zip(doers.draw(drawn), targets.draw(drawn), strict=True):
                if doer == target or len(codes) == amounts.follows:
                    continue
                codes.add(doer * users + target)
                if random.random() < FOLLOWED_BACK and len(codes) < amounts.follows:
                    codes.add(target * users + doer)
    return Pairs(array("Q", sorted(codes)), users)


def _draw_comments(random: Random, amounts: Amounts) -> list[tuple[int, int]]:
    if not amounts.comments:
        return []
    videos = Popularity(random, amounts.videos).draw(amounts.comments)
    return list(zip(videos, Popularity(random, amounts.users).draw(amounts.comments), strict=True))


def _draw_conversations(random: Random, amounts: Amounts, follows: Pairs) -> list[tuple[int, int]]:
    if not amounts.messages:
        return []
    drawn = Popularity(random, len(follows)).draw(amounts.messages)
    return [follows.get(index) for index in drawn]
