"""The checks of scripts/check that are our own, and the commands that make files: what they find, and how they tell it."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import generated_modules
from scripts.checks import sources
from scripts.checks.committed_secrets import find_secrets
from scripts.checks.duplicates import LINES, find_duplicates
from scripts.checks.sizes import MOST_FILE_LINES, MOST_FUNCTION_LINES, find_long
from scripts.reference import __main__ as documents_command
from scripts.reference import documents

PATH = Path("dal/a.py")
OTHER = Path("dal/b.py")


def make_function(lines: int, *, prefix: str = "") -> str:
    body = [f"    value_{number} = {number}" for number in range(lines - 1)]
    return "\n".join([f"{prefix}def work():", *body]) + "\n"


@pytest.mark.parametrize("prefix", ["", "async "])
def test_a_function_that_is_too_long_is_found_with_its_place(prefix: str) -> None:
    fits = make_function(MOST_FUNCTION_LINES, prefix=prefix)
    too_long = make_function(MOST_FUNCTION_LINES + 1, prefix=prefix)

    assert list(find_long(PATH, fits)) == []
    assert list(find_long(PATH, "\n" + too_long)) == [
        "dal/a.py:2: work has 41 lines, 40 are allowed"
    ]


def test_a_file_that_is_too_long_is_found() -> None:
    assert list(find_long(PATH, "x = 1\n" * MOST_FILE_LINES)) == []
    assert list(find_long(PATH, "x = 1\n" * (MOST_FILE_LINES + 1))) == [
        "dal/a.py:1: 351 lines, 350 are allowed"
    ]


def test_a_run_of_equal_lines_is_found_once_with_both_places() -> None:
    repeated = "".join(f"value_{number} = {number}\n" for number in range(LINES + 2))

    found = find_duplicates({PATH: repeated, OTHER: f"first = 0\n{repeated}"})

    assert found == ["dal/b.py:2: the same 6 lines as dal/a.py:1"]


def test_imports_comments_and_brackets_do_not_count_as_repeated() -> None:
    text = "import os\nfrom a import (\n    b,\n    c,\n)\n# Why.\nx = [\n    1,\n]\ny = 2\n"

    assert find_duplicates({PATH: text, OTHER: text}) == []


@pytest.mark.parametrize("check", ["sizes", "duplicates"])
def test_a_check_passes_over_the_repository(check: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"scripts.checks.{check}"],
        cwd=sources.REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "\n")


def test_a_violation_is_printed_and_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert sources.report(["dal/a.py:1: too long"]) == 1

    assert capsys.readouterr().out == "dal/a.py:1: too long\n"


@pytest.mark.parametrize(
    ("text", "gap", "kind"),
    [
        ("-----BEGIN {} KEY-----\nMC4CAQ\n", "PRIVATE", "Private Key"),
        ("key = 'AKIAIOSFODNN7{}'", "EXAMPLE", "AWS Access Key"),
        ("url = 'mysql:{}root:hunter2@db/x'", "//", "Basic Auth Credentials"),
    ],
    ids=["key", "access key", "password in a URL"],
)
def test_a_planted_secret_is_found_with_its_place(
    tmp_path: Path, text: str, gap: str, kind: str
) -> None:
    # Put together here, or this file would be found itself.
    path = tmp_path / "planted.py"
    path.write_text(text.format(gap))

    report = find_secrets([path])

    assert f"Secret Type: {kind}" in report
    assert "planted.py:1" in report


def test_the_name_of_a_setting_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "settings.py"
    path.write_text("password = settings.password.get_secret_value()\n")

    assert find_secrets([path]) == ""


@pytest.fixture
def stale_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose one document is not what the code says."""
    document = tmp_path / "README.md"
    document.write_text("<!-- made by scripts/documents: rpcs -->\nold\n<!-- end -->\n")
    for module in (documents, documents_command):
        monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    return document


def run_documents(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["scripts/documents", *arguments])
    return documents_command.main()


def test_a_stale_part_is_named_by_the_check_and_written_by_the_command(
    stale_document: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stale_document.read_text()

    assert run_documents(monkeypatch, "--check") == 1
    assert capsys.readouterr().out == "stale: README.md: rpcs; run scripts/documents\n"
    assert stale_document.read_text() == before
    assert run_documents(monkeypatch) == 0
    assert capsys.readouterr().out == "wrote README.md: rpcs\n"
    written = stale_document.stat()
    for arguments in ([], ["--check"]):
        assert run_documents(monkeypatch, *arguments) == 0
        assert capsys.readouterr().out == "up to date\n"
    assert stale_document.stat() == written


def test_a_part_that_nobody_renders_is_told(stale_document: Path) -> None:
    stale_document.write_text("<!-- made by scripts/documents: moon -->\n<!-- end -->\n")

    with pytest.raises(SystemExit, match="nobody renders 'moon'"):
        documents.find_stale(stale_document)


@pytest.fixture
def protos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a repository with one small proto, whose modules are not made yet."""
    folder = tmp_path / "protos"
    folder.mkdir()
    (folder / "small.proto").write_text('syntax = "proto3";\nmessage Small { int64 id = 1; }\n')
    monkeypatch.setattr(generated_modules, "REPOSITORY", tmp_path)
    return folder


def run_protos(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["scripts/protos", *arguments])
    return generated_modules.main()


def test_stale_modules_are_named_by_the_check_and_made_or_removed_by_the_command(
    protos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan = protos / "gone_pb2.py"
    orphan.write_text("")

    assert run_protos(monkeypatch, "--check") == 1
    assert "gone_pb2.py, small_pb2.py" in capsys.readouterr().out
    assert orphan.exists()
    assert run_protos(monkeypatch) == 0
    assert not orphan.exists()
    assert "class Small(" in (protos / "small_pb2.pyi").read_text()
    assert run_protos(monkeypatch, "--check") == 0


def test_a_proto_that_protoc_refuses_is_told_with_its_place(
    protos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (protos / "small.proto").write_text("nonsense")

    with pytest.raises(SystemExit, match=r"protoc failed:\n[\s\S]*small\.proto:1"):
        run_protos(monkeypatch)
