"""The parts of scripts/test-compose that need no engine."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.compose_test.leftovers import Machine
from scripts.compose_test.place import STAND_INS
from scripts.compose_test.report import Image, render, write_into_document
from scripts.compose_test.stand_ins import FOLDERS, find_folder, list_bases
from scripts.stack.report import StackError

MARKED = "# Images\n\n<!-- made by scripts/test-compose -->\nold\n<!-- end -->\n\nmore\n"


def test_the_bases_of_a_dockerfile_are_its_images_without_its_stages(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(
        "ARG BASE=python:3.11-slim\nFROM ${BASE} AS one\nFROM --platform=linux/amd64 redis:7 AS two\n"
        "FROM one AS three\nFROM scratch\nCOPY --from=two / /\n"
    )

    assert list_bases(dockerfile) == {"python:3.11-slim", "redis:7"}


@pytest.mark.parametrize(
    ("image", "folder"),
    [("mysql:8.4.11", "mysql"), ("quay.io/coreos/etcd:v3.6.1@sha256:00", "etcd")],
)
def test_any_version_of_a_known_image_has_its_stand_in(image: str, folder: str) -> None:
    assert find_folder(image) == folder


def test_an_image_without_a_stand_in_is_told_with_what_to_do() -> None:
    with pytest.raises(StackError, match=r"postgres:17[\s\S]*stand_ins\.py"):
        find_folder("postgres:17")


@pytest.mark.parametrize("folder", sorted(filter(None, FOLDERS.values())))
def test_every_stand_in_has_its_folder(folder: str) -> None:
    assert (STAND_INS / folder / "Dockerfile").exists()


@pytest.mark.parametrize(
    ("told", "translated"),
    [
        ("gtid-mode=ON", "gtid_strict_mode=ON"),
        ("loose-rpl-semi-sync-replica-enabled = ON", "rpl_semi_sync_slave_enabled=ON"),
        ("innodb-redo-log-capacity=256M", "innodb_log_file_size=256M"),
        ("skip-name-resolve", "skip_name_resolve"),
        ("enforce-gtid-consistency=ON", ""),
        ("plugin-load-add=semisync_source.so", ""),
        ("[mysqld]", "[mysqld]"),
        ("# a comment = kept", "# a comment = kept"),
    ],
)
def test_mysqls_options_become_mariadbs(told: str, translated: str) -> None:
    done = subprocess.run(
        ["awk", "-f", STAND_INS / "mysql" / "options.awk"],
        input=told,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == translated


def test_what_appeared_on_the_machine_and_what_is_gone_is_told() -> None:
    nothing = frozenset[str]()
    before = Machine(nothing, frozenset({"0"}), nothing, nothing, nothing, nothing, nothing)

    after = replace(before, forwarding=frozenset({"1"}), links=frozenset({"docker0"}))

    assert before.differences(after) == [
        "forwarding: 1 appeared",
        "forwarding: 0 is gone",
        "links: docker0 appeared",
    ]
    assert before.differences(before) == []


def test_what_was_measured_goes_between_the_marks(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(MARKED)
    text = render({"up": 12.34}, [Image("redis:7", 3 * 2**20, is_stand_in=True)], [])

    write_into_document(text, document)
    write_into_document(text, document)

    written = document.read_text()
    assert "| up | 12.3 |" in written
    assert "| redis:7 | 3 | stand-in |" in written
    assert "old" not in written
    assert written.endswith("<!-- end -->\n\nmore\n")


def test_a_document_without_marks_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("# Images\n")

    with pytest.raises(StackError, match="no part"):
        write_into_document("text", document)
