"""Every test that a README names in backticks exists; a name that is cut with … is not looked for."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack.site import REPOSITORY

DOCUMENTS = sorted(
    [
        REPOSITORY / "README.md",
        *(
            path
            for folder in (
                "config",
                "dal",
                "gateway",
                "pkg",
                "protos",
                "scripts",
                "services",
                "tests",
            )
            for path in (REPOSITORY / folder).rglob("README.md")
        ),
    ]
)
QUOTED = re.compile(r"`([^`\n]+)`")
FUNCTIONS = frozenset(
    name
    for path in (REPOSITORY / "tests").rglob("*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text())
)


def list_names(text: str) -> Iterator[str]:
    """Yield each path below tests/, each file and each function of tests that the text quotes."""
    for quoted in QUOTED.findall(text):
        if "…" not in quoted:
            yield from re.findall(r"(?:(?<!\S)tests/|\btest_)[\w./*-]*\w/?", quoted)


def exists(name: str) -> bool:
    if name.startswith("tests/"):
        return any(REPOSITORY.glob(name.rstrip("/")))
    if name.endswith(".py"):
        return any((REPOSITORY / "tests").rglob(name))
    return name in FUNCTIONS


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(Path(path).relative_to(REPOSITORY))
)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    missing = [name for name in list_names(document.read_text()) if not exists(name)]

    assert missing == []


def test_names_are_read_as_documents_write_them() -> None:
    text = "`tests/dal`, `tests/x.py::test_a`, `test_b.py` and `test_c_…`; `a_test_d`"

    assert list(list_names(text)) == ["tests/dal", "tests/x.py", "test_a", "test_b.py"]
    assert not exists("tests/no")
    assert not exists("test_no.py")
    assert not exists("test_no")
