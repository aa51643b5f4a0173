"""What is read out of ffprobe's JSON, without ffprobe."""

import json
from typing import Any

import pytest

from pkg.media import Container, UnreadableVideo, VideoInfo
from pkg.media.colour import Colour
from pkg.media.errors import DAMAGED, ENCRYPTED, NO_PICTURE, UNKNOWN_FORMAT
from pkg.media.probe import AudioStream, parse_probe

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
SD_COLOUR = Colour("smpte170m", "bt709", "bt709", is_full_range=False)


def parse(*streams: dict[str, Any], **container: str) -> VideoInfo:
    numbered = [{"index": index, **stream} for index, stream in enumerate(streams)]
    return parse_probe(json.dumps({"streams": numbered, "format": container}), Container.MP4)


def test_everything_that_decisions_need_is_read() -> None:
    assert parse(DATA, AUDIO, VIDEO, duration="12.5") == VideoInfo(
        container=Container.MP4,
        video_codec="h264",
        pixel_format="yuv420p",
        width=320,
        height=240,
        index=2,
        rotation=-90,
        colour=SD_COLOUR,
        audio_streams=(AudioStream(index=1, codec="aac"),),
        audio=AudioStream(index=1, codec="aac"),
        duration_s=12.5,
    )


def test_what_is_not_said_is_unknown() -> None:
    bare = {key: VIDEO[key] for key in ("codec_type", "codec_name", "width", "height")}

    info = parse(bare)

    assert (info.pixel_format, info.rotation) == ("", 0)
    assert (info.audio, info.duration_s) == (None, None)


def test_the_first_stream_of_each_kind_counts() -> None:
    info = parse(VIDEO, {**VIDEO, "width": 640}, AUDIO, {**AUDIO, "codec_name": "ac3"})

    assert (info.width, info.audio and info.audio.codec) == (320, "aac")


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


def test_all_that_decides_about_a_copy_is_read() -> None:
    info = parse(
        {
            **VIDEO,
            "profile": "High",
            "level": 40,
            "field_order": "tt",
            "sample_aspect_ratio": "4:3",
            "color_range": "tv",
            "color_space": "bt2020nc",
            "color_transfer": "arib-std-b67",
            "color_primaries": "bt2020",
        }
    )

    assert (info.profile, info.level, info.field_order) == ("High", 40, "tt")
    assert not info.has_square_pixels
    assert info.colour == Colour("bt2020nc", "bt2020", "arib-std-b67", is_full_range=False)


@pytest.mark.parametrize(("rows", "mirrored"), [((65536, 65536), False), ((-65536, 65536), True)])
def test_a_mirrored_picture_is_told_from_a_rotated_one(
    rows: tuple[int, int], mirrored: bool
) -> None:
    matrix = f"\n0: {rows[0]} 0 0\n1: 0 {rows[1]} 0\n2: 0 0 1073741824\n"

    info = parse({**VIDEO, "side_data_list": [{"displaymatrix": matrix, "rotation": 0}]})

    assert info.is_mirrored is mirrored


@pytest.mark.parametrize(("compatible", "alone"), [(0, True), (1, False), (4, False)])
def test_dolby_vision_is_judged_by_its_base_layer(compatible: int, alone: bool) -> None:
    layer = {"dv_profile": 5, "dv_bl_signal_compatibility_id": compatible}

    assert parse({**VIDEO, "side_data_list": [layer]}).is_lone_enhancement is alone


def test_a_stream_with_a_key_is_encrypted() -> None:
    with pytest.raises(UnreadableVideo) as caught:
        parse({**VIDEO, "tags": {"enc_key_id": "aGVsbG8="}})

    assert caught.value.reason == ENCRYPTED
