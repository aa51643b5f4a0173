"""How far a step is: a bar on a terminal, a line for every tenth elsewhere."""

import sys
from types import TracebackType
from typing import Self

from tqdm import tqdm

LINES = 10


class ProgressBar:
    """The progress of one step, on standard error."""

    def __init__(self, name: str, *, total: int, done: int = 0) -> None:
        self._name, self._total, self._done = name, total, done
        self._is_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            desc=f"{name:<18}",
            total=total,
            initial=done,
            unit="",
            unit_scale=True,
            disable=not self._is_terminal,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def move(self, rows: int) -> None:
        """Show that so many more rows are done."""
        before = self._done * LINES // max(self._total, 1)
        self._done += rows
        self._bar.update(rows)
        if not self._is_terminal and self._done * LINES // max(self._total, 1) > before:
            print(f"{self._name}: {self._done:,} of {self._total:,}", file=sys.stderr, flush=True)
