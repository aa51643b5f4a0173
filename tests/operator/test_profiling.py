"""Flame graphs of running processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.operator.profiling.__main__ import NotSeen, forget_old, show, take
from scripts.operator.profiling.flame_graph import Share, count_samples, list_busiest
from scripts.operator.profiling.processes import NoSuchProcess, find_pid
from scripts.waiting import wait_until

# As a process of the product is started, and allows whoever runs the tests to look into it (PR_SET_PTRACER).
SPIN = """
import ctypes
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1))
def spin():
    return sum(range(1000))
print("spins", flush=True)
while True:
    spin()
"""
# main calls work and rest; work calls <lambda>.
PICTURE = """
<g><title>all (10 samples, 100%)</title><rect x="0.0000%" y="36" width="100.0000%" height="15" fill="rgb(0,0,0)" fg:x="0" fg:w="10"/></g>
<g><title>main (app.py:1) (10 samples, 100.00%)</title><rect x="0.0000%" y="52" width="100.0000%" height="15" fill="rgb(0,0,0)" fg:x="0" fg:w="10"/></g>
<g><title>work (app.py:5) (6 samples, 60.00%)</title><rect x="0.0000%" y="68" width="60.0000%" height="15" fill="rgb(0,0,0)" fg:x="0" fg:w="6"/></g>
<g><title>&lt;lambda&gt; (app.py:6) (5 samples, 50.00%)</title><rect x="0.0000%" y="84" width="50.0000%" height="15" fill="rgb(0,0,0)" fg:x="0" fg:w="5"/></g>
<g><title>rest (app.py:9) (2 samples, 20.00%)</title><rect x="60.0000%" y="68" width="20.0000%" height="15" fill="rgb(0,0,0)" fg:x="6" fg:w="2"/></g>
"""


@pytest.fixture
def spinning() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like one of the product and is busy."""
    command = [sys.executable, "-c", SPIN, "-m", "services.spinning"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"spins\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_busiest_are_those_that_ran_themselves():
    assert count_samples(PICTURE) == 10
    assert list_busiest(PICTURE, 3) == [
        Share("<lambda> (app.py:6)", 5),
        Share("main (app.py:1)", 2),
        Share("rest (app.py:9)", 2),
    ]


def test_a_busy_process_is_found_by_its_name_and_pictured(
    spinning: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pid = find_pid("spinning", tmp_path)
    picture = take("spinning", pid, seconds=1, folder=tmp_path / "profiles")

    assert pid == spinning.pid
    assert picture
    show("spinning", picture, seconds=1)
    told = capsys.readouterr().out
    assert told.startswith("spinning: ")
    assert "spin (<string>:" in told


def test_a_process_that_is_not_there_is_told_with_those_that_are(
    spinning: subprocess.Popen[bytes], tmp_path: Path
):
    with pytest.raises(NoSuchProcess, match=r"no process 'nobody'.* there are: .*spinning"):
        find_pid("nobody", tmp_path)


def test_what_is_no_python_is_told_in_one_line(tmp_path: Path):
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            wait_until(
                lambda: b"sleep" in Path(f"/proc/{process.pid}/cmdline").read_bytes(), timeout_s=10
            )
            with pytest.raises(NotSeen) as raised:
                take("sleep", process.pid, seconds=1, folder=tmp_path)
        finally:
            process.kill()
    assert len(str(raised.value).splitlines()) == 1


def test_only_the_newest_pictures_of_a_process_are_kept(tmp_path: Path):
    for day in range(1, 6):
        (tmp_path / f"user-2026010{day}T000000Z.svg").touch()
    (tmp_path / "user-2-20260101T000000Z.svg").touch()

    forget_old("user", tmp_path, keep=2)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "user-2-20260101T000000Z.svg",
        "user-20260104T000000Z.svg",
        "user-20260105T000000Z.svg",
    ]
