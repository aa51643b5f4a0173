"""What is read out of ffprobe's JSON, without ffprobe."""

import json
from typing import Any

import pytest

from pkg.media import Container, UnreadableVideo, VideoInfo
from pkg.media.errors import DAMAGED, NO_PICTURE, UNKNOWN_FORMAT
from pkg.media.probe import parse_probe

VIDEO = {
    "codec_type": "video",
    "codec_name": "h264",
    "pix_fmt": "yuv420p",
    "width": 320,
    "height": 240,
    "disposition": {"attached_pic": 0},
    "side_data_list": [{}, {"rotation": -90}],
}
AUDIO = {"codec_type": "audio", "codec_name": "aac"}
COVER = {**VIDEO, "codec_name": "mjpeg", "disposition": {"attached_pic": 1}}
DATA = {"codec_type": "data"}


def parse(*streams: dict[str, Any], **container: str) -> VideoInfo:
    return parse_probe(json.dumps({"streams": streams, "format": container}), Container.MP4)


def test_everything_that_decisions_need_is_read() -> None:
    assert parse(DATA, AUDIO, VIDEO, duration="12.5") == VideoInfo(
        container=Container.MP4,
        video_codec="h264",
        pixel_format="yuv420p",
        width=320,
        height=240,
        rotation=-90,
        audio_codec="aac",
        duration_s=12.5,
    )


def test_what_is_not_said_is_unknown() -> None:
    bare = {key: VIDEO[key] for key in ("codec_type", "codec_name", "width", "height")}

    info = parse(bare)

    assert (info.pixel_format, info.rotation) == ("", 0)
    assert (info.audio_codec, info.duration_s) == (None, None)


def test_the_first_stream_of_each_kind_counts() -> None:
    info = parse(VIDEO, {**VIDEO, "width": 640}, AUDIO, {**AUDIO, "codec_name": "ac3"})

    assert (info.width, info.audio_codec) == (320, "aac")


def test_a_cover_is_no_video_stream() -> None:
    assert parse(COVER, VIDEO).video_codec == "h264"
    with pytest.raises(UnreadableVideo) as caught:
        parse(AUDIO, COVER)
    assert caught.value.reason == NO_PICTURE


@pytest.mark.parametrize("missing", ["codec_name", "width", "height"])
def test_a_video_stream_that_no_decoder_knows_is_an_unknown_format(missing: str) -> None:
    unknown = {key: value for key, value in VIDEO.items() if key != missing}

    with pytest.raises(UnreadableVideo) as caught:
        parse(unknown)

    assert caught.value.reason == UNKNOWN_FORMAT


@pytest.mark.parametrize("output", ["", "{", "ffprobe: no such file"])
def test_what_is_no_json_is_a_damaged_file(output: str) -> None:
    with pytest.raises(UnreadableVideo) as caught:
        parse_probe(output, Container.MP4)

    assert caught.value.reason == DAMAGED


@pytest.mark.parametrize("output", ["{}", '{"streams": []}'])
def test_a_file_without_streams_has_no_picture(output: str) -> None:
    with pytest.raises(UnreadableVideo) as caught:
        parse_probe(output, Container.MP4)

    assert caught.value.reason == NO_PICTURE
