"""What stops the local stack, said so that the reader knows how to go on."""

from collections.abc import Sequence


class StackError(Exception):
    """The stack cannot go on: the problem, how to mend it, and the end of a log where one helps."""

    def __init__(self, problem: str, *, mend: str = "", log_tail: Sequence[str] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.mend = mend
        self.log_tail = tuple(log_tail)

    def __str__(self) -> str:
        parts = [self.problem]
        if self.log_tail:
            parts.append("the end of its log:")
            parts.extend(f"    {line}" for line in self.log_tail)
        if self.mend:
            parts.append(f"to mend it: {self.mend}")
        return "\n".join(parts)
