"""No six lines stand twice outside tests: `python -m scripts.checks.duplicates`.

pylint's checker finds the same and takes 15 s and six more packages for it.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts.checks.sources import REPOSITORY, list_sources, report

LINES = 6
_HAS_WORD = re.compile(r"\w")


def find_duplicates(texts: Mapping[Path, str]) -> list[str]:
    """Return where a run of equal lines begins again, beside where it stood first."""
    first: dict[tuple[str, ...], str] = {}
    found = []
    for path, text in texts.items():
        lines = list(_list_telling_lines(text))
        reported_until = 0
        for start in range(len(lines) - LINES + 1):
            window = lines[start : start + LINES]
            place = f"{path}:{window[0][0]}"
            earlier = first.setdefault(tuple(line for _, line in window), place)
            if earlier != place and start >= reported_until:
                found.append(f"{place}: the same {LINES} lines as {earlier}")
                reported_until = start + LINES
    return found


def _list_telling_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and content of each line that is more than punctuation, a comment or an import."""
    imported = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if number not in imported and not line.startswith("#") and _HAS_WORD.search(line):
            yield number, line


def main() -> int:
    """Print every violation; return 1 where there is one."""
    paths = [path for path in list_sources() if path.parts[0] != "tests"]
    return report(find_duplicates({path: (REPOSITORY / path).read_text() for path in paths}))


if __name__ == "__main__":
    sys.exit(main())
