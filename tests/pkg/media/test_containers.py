"""The first bytes of a file tell whether it claims to be a video."""

from pathlib import Path

import pytest

from pkg.media import HEAD_SIZE, find_refusal
from tests.pkg.media.samples import KINDS, OTHER_HEADS


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_video_is_let_in(library: Path, name: str) -> None:
    assert find_refusal((library / name).read_bytes()[:HEAD_SIZE]) is None


@pytest.mark.parametrize("name", OTHER_HEADS)
def test_what_is_no_video_is_told_what_it_is(name: str) -> None:
    head, reason = OTHER_HEADS[name]

    assert find_refusal(head) == reason


def test_a_recording_without_a_type_box_is_let_in(library: Path) -> None:
    content = (library / "end.mov").read_bytes()

    assert find_refusal(content[int.from_bytes(content[:4]) :][:HEAD_SIZE]) is None
