"""What a run measured, as Markdown: times, sizes of images, memory at rest; the section of dockerfiles/README.md."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.reference.tables import render_table
from scripts.stack.report import StackError
from scripts.stack.site import REPOSITORY

DOCUMENT = REPOSITORY / "dockerfiles" / "README.md"
_PART = re.compile(
    r"(?P<begin><!-- made by scripts/test-compose -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)
_MIB = 2**20


@dataclass(frozen=True)
class ContainerAtRest:
    """One container that nobody asks anything."""

    name: str
    memory: int
    limit: int
    processes: int


@dataclass(frozen=True)
class Image:
    """One image; what it adds to its base is its own."""

    name: str
    size: int
    is_stand_in: bool


def render(
    seconds: Mapping[str, float], images: Sequence[Image], containers: Sequence[ContainerAtRest]
) -> str:
    """Return all that was measured, sizes in MiB."""
    times = render_table(("Step", "Seconds"), ((name, f"{s:.1f}") for name, s in seconds.items()))
    sizes = render_table(
        ("Image", "MiB", "What it is"),
        (
            (image.name, _mib(image.size), "stand-in" if image.is_stand_in else "the project's")
            for image in images
        ),
    )
    rows = [
        (item.name, _mib(item.memory), _mib(item.limit), str(item.processes)) for item in containers
    ]
    total = sum(item.memory for item in containers)
    rows.append(("together", _mib(total), "", str(sum(item.processes for item in containers))))
    memory = render_table(("Container", "MiB at rest", "Limit, MiB", "Processes and threads"), rows)
    return f"{times}\n{sizes}\n{memory}"


def _mib(size: int) -> str:
    return f"{size / _MIB:,.0f}"


def write_into_document(text: str, document: Path = DOCUMENT) -> None:
    """Put the text between the marks of the document.

    Raises:
        StackError: the document has no such marks.
    """
    before = document.read_text(encoding="utf-8")
    after, places = _PART.subn(
        lambda match: f"{match['begin']}\n{text.strip()}\n\n{match['end']}", before
    )
    if not places:
        raise StackError(f"{document} has no part that scripts/test-compose writes")
    document.write_text(after, encoding="utf-8")
