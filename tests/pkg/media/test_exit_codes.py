"""Whose fault it is that a process failed: the file's, or the machine's."""

import pytest

from pkg.media import MediaToolFailed, UnreadableVideo
from pkg.media.process import MACHINE_MESSAGES, Printed, require_success


def end(code: int | None, errors: str = "") -> None:
    require_success("ffmpeg", code, Printed(output="", errors=errors))


def test_success_is_success_whatever_was_printed() -> None:
    end(0, "Cannot allocate memory")


@pytest.mark.parametrize("code", [None, -9, -11, 126, 127])
def test_a_process_that_was_killed_or_never_started_is_the_machines_fault(
    code: int | None,
) -> None:
    with pytest.raises(MediaToolFailed):
        end(code)


@pytest.mark.parametrize("message", MACHINE_MESSAGES)
def test_a_lack_of_memory_disk_or_threads_is_the_machines_fault(message: str) -> None:
    with pytest.raises(MediaToolFailed):
        end(1, f"[mp4 @ 0x1] {message}\nConversion failed!\n")


def test_every_other_failure_is_the_files_fault_and_its_last_line_is_kept() -> None:
    with pytest.raises(UnreadableVideo) as caught:
        end(183, "first\nInvalid data found when processing input\n")

    assert caught.value.detail == "ffmpeg ended with 183: Invalid data found when processing input"
