"""How much of everything, and what cannot be."""

from dataclasses import dataclass

# What can be counted, in the order of the options of scripts/seed.
PARTS = ("users", "videos", "likes", "follows", "comments", "messages")
# Of every seeded user: whoever has this database may log in as any of them.
PASSWORD = "seed-password"  # noqa: S105
# Pairs are drawn until they differ: where most of them are taken, that takes for ever.
DENSEST = 4


class PopulationRefused(Exception):
    """Nothing was written; the text says why, and what to do."""


@dataclass(frozen=True)
class Amounts:
    """How many of each part; `burst` is how many of the newest videos were published in consecutive milliseconds."""

    seed: int = 1
    users: int = 0
    videos: int = 0
    likes: int = 0
    follows: int = 0
    comments: int = 0
    messages: int = 0
    burst: int = 0

    def check(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            PopulationRefused: something needs more of something else.
        """
        if self.users < 1:
            raise PopulationRefused("whose videos and likes? give --users as well")
        if (self.likes or self.comments) and not self.videos:
            raise PopulationRefused("likes and comments need --videos")
        if self.messages and not self.follows:
            raise PopulationRefused(
                "who follows nobody may write to nobody: --messages need --follows"
            )
        if self.burst > self.videos:
            raise PopulationRefused(f"--burst {self.burst} is more than there are videos")
        for part, most in (
            ("likes", self.users * self.videos // DENSEST),
            ("follows", self.users * (self.users - 1) // DENSEST),
        ):
            if getattr(self, part) > most:
                raise PopulationRefused(
                    f"--{part} {getattr(self, part)} is too many for so few: at most {most},"
                    f" one of {DENSEST} pairs, is drawn"
                )
