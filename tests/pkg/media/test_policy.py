"""Decisions about videos, without ffmpeg."""

from dataclasses import replace
from typing import Any

import pytest

from pkg.media import Container, UnreadableVideo, VideoInfo
from pkg.media.errors import DAMAGED, DOLBY_VISION, PICTURE_TOO_LARGE, TOO_LONG
from pkg.media.policy import (
    GAP_REPORTING_CONTAINERS,
    require_allowed_duration,
    require_decodable_picture,
    require_kept_duration,
    require_no_gap,
)

PHONE_VIDEO = VideoInfo(
    container=Container.MP4,
    video_codec="h264",
    pixel_format="yuv420p",
    width=1080,
    height=1920,
    rotation=90,
    duration_s=10.0,
)


@pytest.mark.parametrize("duration_s", [None, 0.0, 1800.0])
def test_a_duration_up_to_the_limit_or_unknown_is_allowed(duration_s: float | None) -> None:
    require_allowed_duration(replace(PHONE_VIDEO, duration_s=duration_s), max_duration_s=1800)


def test_a_duration_over_the_limit_is_refused_as_such() -> None:
    with pytest.raises(UnreadableVideo) as caught:
        require_allowed_duration(replace(PHONE_VIDEO, duration_s=1801), max_duration_s=1800)

    assert caught.value.reason == TOO_LONG


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 8192, "height": 8192}, PICTURE_TOO_LARGE),
        ({"width": 65_000, "height": 16}, None),
        ({"width": 7680, "height": 4320}, None),
        ({"is_lone_enhancement": True}, DOLBY_VISION),
    ],
    ids=str,
)
def test_a_picture_that_cannot_be_decoded_here_is_refused_for_what_it_is(
    changes: dict[str, Any], reason: str | None
) -> None:
    info = replace(PHONE_VIDEO, **changes)
    if reason is None:
        require_decodable_picture(info, max_picture_mpx=36)
        return

    with pytest.raises(UnreadableVideo) as caught:
        require_decodable_picture(info, max_picture_mpx=36)

    assert caught.value.reason == reason


@pytest.mark.parametrize("message", ["File ended prematurely", "Truncating packet of size 9 to 4"])
def test_what_the_demuxer_says_of_a_missing_piece_is_heard_among_other_messages(
    message: str,
) -> None:
    with pytest.raises(UnreadableVideo) as caught:
        require_no_gap(f"something else\n[mov @ 0x1] {message}\nsomething else\n")

    assert caught.value.reason == DAMAGED
    assert message in caught.value.detail


def test_other_messages_of_the_demuxer_refuse_nothing() -> None:
    require_no_gap("")
    require_no_gap("[mov @ 0x1] something is unusual\n")


def test_a_gap_is_ordinary_in_mpeg_streams() -> None:
    others = set(Container) - GAP_REPORTING_CONTAINERS

    assert others == {Container.MPEG_TS, Container.MPEG_PS}


@pytest.mark.parametrize("left_s", [7.8, 10.0, 11.0])
def test_most_of_the_duration_is_enough(left_s: float) -> None:
    source = replace(PHONE_VIDEO, container=Container.MATROSKA)

    require_kept_duration(source, replace(PHONE_VIDEO, duration_s=left_s))


@pytest.mark.parametrize("left_s", [None, 0.0, 7.7])
@pytest.mark.parametrize("container", [Container.MATROSKA, Container.AVI])
def test_a_video_of_which_much_was_skipped_is_refused(
    container: Container, left_s: float | None
) -> None:
    source = replace(PHONE_VIDEO, container=container)

    with pytest.raises(UnreadableVideo) as caught:
        require_kept_duration(source, replace(PHONE_VIDEO, duration_s=left_s))

    assert caught.value.reason == DAMAGED


@pytest.mark.parametrize(
    "changes", [{"container": Container.MP4}, {"duration_s": None}, {"duration_s": 0.0}], ids=str
)
def test_nothing_is_compared_where_the_source_tells_too_little(changes: dict[str, Any]) -> None:
    source = replace(PHONE_VIDEO, container=Container.AVI)

    require_kept_duration(replace(source, **changes), replace(PHONE_VIDEO, duration_s=0.1))
