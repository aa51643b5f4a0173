"""The first bytes of a file tell whether it claims to be a video."""

from pathlib import Path

import pytest

from pkg.media import HEAD_SIZE, looks_like_video
from tests.pkg.media.samples import KINDS, OTHER_HEADS


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_video_is_let_in(library: Path, name: str) -> None:
    assert looks_like_video((library / name).read_bytes()[:HEAD_SIZE])


@pytest.mark.parametrize("name", OTHER_HEADS)
def test_what_is_no_video_is_refused(name: str) -> None:
    assert not looks_like_video(OTHER_HEADS[name])


def test_a_recording_without_a_type_box_is_let_in(library: Path) -> None:
    content = (library / "end.mov").read_bytes()

    assert looks_like_video(content[int.from_bytes(content[:4]) :][:HEAD_SIZE])
