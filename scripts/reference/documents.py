"""Finding the made parts in the documents, and putting the rendered text there."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.errors import render_error_table
from scripts.reference.check_table import render_check_table
from scripts.reference.metric_table import render_metric_table
from scripts.reference.rpc_table import render_rpc_table
from scripts.reference.settings_tables import render_settings_tables
from scripts.stack.site import REPOSITORY

PARTS: Mapping[str, Callable[[], str]] = {
    "checks": render_check_table,
    "errors": render_error_table,
    "metrics": render_metric_table,
    "rpcs": render_rpc_table,
    "settings": render_settings_tables,
}
PART = re.compile(
    r"(?P<begin><!-- made by scripts/documents: (?P<name>[\w-]+) -->\n)(?P<text>.*?)(?P<end><!-- end -->)",
    re.DOTALL,
)


def list_documents() -> list[Path]:
    """Return every Markdown file of the top level and of its folders."""
    return sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("*/README.md")])


def list_parts(path: Path) -> list[str]:
    """Return the names of the made parts of a document, in its order."""
    return [match["name"] for match in PART.finditer(path.read_text(encoding="utf-8"))]


def find_stale(path: Path) -> list[str]:
    """Return the names of the parts whose text is not what the code says."""
    matches = PART.finditer(path.read_text(encoding="utf-8"))
    return [match["name"] for match in matches if match["text"] != _render(match["name"])]


def write_parts(path: Path) -> None:
    """Put the rendered text into every part of a document."""
    before = path.read_text(encoding="utf-8")
    after = PART.sub(
        lambda match: f"{match['begin']}{_render(match['name'])}{match['end']}", before
    )
    if after != before:
        path.write_text(after, encoding="utf-8")


def _render(name: str) -> str:
    if name not in PARTS:
        raise SystemExit(f"nobody renders {name!r}; there are {', '.join(PARTS)}")
    # Renderers end their last line; the blank lines keep Markdown and the markers apart.
    return f"\n{PARTS[name]().strip()}\n\n"
