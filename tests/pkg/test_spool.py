"""Spooled files and work folders: gone at the end, also where the end was a SIGKILL."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pkg.errors import DependencyUnavailable
from pkg.spool import MB, Spool, SpoolLimits, open_spool, remove_abandoned, work_folder

HOLD = """
import sys, pathlib
from pkg.spool import work_folder
with work_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "half").write_bytes(b"x" * 100)
    print(folder, flush=True)
    sys.stdin.read()
"""


def start_holder(root: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that holds a work folder until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str], number: signal.Signals | None = None) -> None:
    if number is not None:
        process.send_signal(number)
    process.communicate(timeout=20)


def test_a_spooled_file_has_no_name_and_its_folder_is_made(tmp_path):
    with open_spool(tmp_path / "spool") as file:
        file.write(b"x" * 100)
        file.flush()

        assert not any((tmp_path / "spool").iterdir())


def test_a_spool_that_cannot_be_written_is_unavailable(tmp_path):
    (tmp_path / "occupied").write_bytes(b"")

    with pytest.raises(DependencyUnavailable), open_spool(tmp_path / "occupied"):
        pass


def test_room_is_reserved_before_the_first_byte_and_comes_back(tmp_path):
    spool = Spool(tmp_path, SpoolLimits(max_mb=2, min_free_mb=1))

    with (
        spool.open(max_bytes=MB),
        spool.open(max_bytes=MB),
        pytest.raises(DependencyUnavailable),
        spool.open(max_bytes=1),
    ):
        pass
    with spool.open(max_bytes=2 * MB) as file:
        assert file.write(b"x") == 1


def test_a_disk_is_never_filled_to_the_last_byte(tmp_path):
    spool = Spool(tmp_path, SpoolLimits(max_mb=2, min_free_mb=10**9))

    with pytest.raises(DependencyUnavailable, match="nearly full"), spool.open(max_bytes=1):
        pass


def test_a_work_folder_is_gone_at_the_end_with_all_that_is_in_it(tmp_path):
    with work_folder(tmp_path / "spool") as folder:
        (folder / "deeper").mkdir()
        (folder / "deeper" / "file").write_bytes(b"x")

    assert not any((tmp_path / "spool").iterdir())


def test_a_work_folder_is_gone_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="broken"), work_folder(tmp_path):
        raise ValueError("broken")

    assert not any(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(tmp_path):
    process, folder = start_holder(tmp_path)
    end(process, signal.SIGKILL)
    assert (folder / "half").exists()

    remove_abandoned(tmp_path)

    assert not any(tmp_path.iterdir())


def test_what_a_living_process_uses_is_left_alone(tmp_path):
    process, folder = start_holder(tmp_path)
    with work_folder(tmp_path) as own:
        remove_abandoned(tmp_path)

        assert (folder / "half").exists()
        assert own.exists()
    end(process)


def test_a_file_that_was_left_is_removed_too(tmp_path):
    (tmp_path / "tmpabc").write_bytes(b"x")

    remove_abandoned(tmp_path)

    assert not any(tmp_path.iterdir())


def test_two_processes_may_clean_up_at_once(tmp_path):
    for number in range(200):
        (tmp_path / str(number)).mkdir()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(remove_abandoned, [tmp_path] * 4))

    assert not any(tmp_path.iterdir())


def test_a_spool_that_was_never_used_is_fine(tmp_path):
    remove_abandoned(tmp_path / "missing")
