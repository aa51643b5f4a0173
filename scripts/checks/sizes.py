"""No function is longer than 40 lines, no file longer than 350: `python -m scripts.checks.sizes`."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.checks.sources import REPOSITORY, list_sources, report

MOST_FUNCTION_LINES = 40
MOST_FILE_LINES = 350


def find_long(path: Path, text: str) -> Iterator[str]:
    """Yield what is too long in one file, with its place."""
    lines = len(text.splitlines())
    if lines > MOST_FILE_LINES:
        yield f"{path}:1: {lines} lines, {MOST_FILE_LINES} are allowed"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, {MOST_FUNCTION_LINES} are allowed"


def main() -> int:
    """Print every violation; return 1 where there is one."""
    return report(
        [
            line
            for path in list_sources()
            for line in find_long(path, (REPOSITORY / path).read_text())
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
