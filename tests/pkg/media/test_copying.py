"""Real files of which one property is not known to play everywhere, and which stream becomes the audio stream."""

from pathlib import Path

import pytest

from pkg.media import MediaTool
from pkg.media.plans import Treatment
from tests import media_samples as samples
from tests.pkg.media.streamable import make_streamable

X264 = "libx264 -preset ultrafast"
# File name, video encoder, audio encoder: what must not be copied as it is.
ENCODED = {
    "High 4:4:4 Predictive, lossless": ("v.mp4", f"{X264} -qp 0 -pix_fmt yuv420p", None),
    "High 10": ("v.mp4", f"{X264} -pix_fmt yuv420p10le", None),
    "High 4:2:2": ("v.mp4", f"{X264} -pix_fmt yuv422p", None),
    "interlaced": ("v.mp4", f"{X264} -pix_fmt yuv420p -flags +ildct+ilme -x264-params tff=1", None),
    "pixels not square": ("v.mkv", f"{X264} -pix_fmt yuv420p -aspect 16:9", None),
    "100 pictures a second": ("v.mp4", f"{X264} -pix_fmt yuv420p -r 100", None),
    "level 6.2": ("v.mp4", f"{X264} -pix_fmt yuv420p -level 6.2", None),
}


def concatenate(path: Path, *parts: Path) -> Path:
    """Put H.264 streams behind one another, as a bitstream allows it, in a container that follows."""
    raw = path.with_suffix(".h264")
    streams = []
    for part in parts:
        samples.run_ffmpeg("-i", str(part), "-an", "-c", "copy", "-f", "h264", str(raw))
        streams.append(raw.read_bytes())
    raw.write_bytes(b"".join(streams))
    samples.run_ffmpeg("-f", "h264", "-framerate", "25", "-i", str(raw), "-c", "copy", str(path))
    return path


@pytest.mark.parametrize("name", ENCODED)
async def test_what_a_phone_may_not_decode_is_encoded_again(
    media: MediaTool, tmp_path: Path, name: str
) -> None:
    file, video, audio = ENCODED[name]
    source = samples.make_video(
        tmp_path / file, seconds=0.4, size="160x120", video=video, audio=audio
    )

    info = await make_streamable(media, source, tmp_path / "target.mp4")

    assert (await media.inspect(source)).video is Treatment.ENCODE
    assert (info.profile, info.pixel_format, info.field_order) == (
        "High",
        "yuv420p",
        "progressive",
    )
    assert info.has_square_pixels
    assert (await media.inspect(tmp_path / "target.mp4")).is_light


async def test_a_size_that_changes_midway_is_encoded_again(
    media: MediaTool, tmp_path: Path
) -> None:
    small = samples.make_video(tmp_path / "a.mp4", seconds=0.4, size="160x120", audio=None)
    large = samples.make_video(tmp_path / "b.mp4", seconds=0.4, size="320x240", audio=None)
    source = concatenate(tmp_path / "source.mp4", small, large)

    info = await make_streamable(media, source, tmp_path / "target.mp4")

    assert (await media.inspect(source)).video is Treatment.ENCODE
    assert (await media.inspect(tmp_path / "target.mp4")).is_light
    assert (info.width, info.height) == (160, 120)
    assert info.duration_s == pytest.approx(0.8, abs=0.1)


async def test_a_stream_that_does_not_begin_with_a_key_frame_is_encoded_again(
    media: MediaTool, tmp_path: Path
) -> None:
    whole = samples.make_video(
        tmp_path / "whole.mp4", video="libx264 -preset ultrafast -pix_fmt yuv420p -g 10", audio=None
    )
    source = tmp_path / "source.mkv"
    no_first = "noise=drop=eq(n\\,0)"
    samples.run_ffmpeg("-i", str(whole), "-c", "copy", "-bsf:v", no_first, str(source))

    await make_streamable(media, source, tmp_path / "target.mp4")

    assert (await media.inspect(source)).video is Treatment.ENCODE
    assert (await media.inspect(tmp_path / "target.mp4")).is_light


async def test_a_stream_that_begins_inside_an_open_group_of_pictures_is_encoded_again(
    media: MediaTool, tmp_path: Path
) -> None:
    groups = "open-gop=1:keyint=20:min-keyint=20:bframes=3:scenecut=0"
    whole = samples.make_video(
        tmp_path / "whole.ts",
        seconds=3,
        size="160x120",
        video=f"libx264 -pix_fmt yuv420p -x264-params {groups}",
        audio=None,
    )
    source = tmp_path / "source.mkv"
    samples.run_ffmpeg("-ss", "1", "-i", str(whole), "-c", "copy", str(source))

    await make_streamable(media, source, tmp_path / "target.mp4")

    assert (await media.inspect(source)).video is Treatment.ENCODE
    assert (await media.inspect(tmp_path / "target.mp4")).is_light


@pytest.mark.parametrize("encoder", ["aac -ar 96000", "aac -ac 6", "libmp3lame", "ac3", "alac"])
async def test_sound_that_players_refuse_is_encoded_again_and_the_pictures_copied(
    media: MediaTool, tmp_path: Path, encoder: str
) -> None:
    source = samples.make_video(tmp_path / "source.mp4", seconds=0.4, size="160x120", audio=encoder)
    plan = await media.inspect(source)

    info = await media.convert(source, tmp_path / "target.mp4", plan)

    assert (plan.video, plan.audio) == (Treatment.COPY, Treatment.ENCODE)
    assert info.audio is not None
    assert (info.audio.codec, info.audio.profile) == ("aac", "LC")
    assert (info.audio.sample_rate, info.audio.channels) == (48000, 2)


def make_two_sounds(path: Path) -> Path:
    samples.run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1"),
        *("-map", "0", "-map", "1", "-map", "1", "-c:v", *f"{X264} -pix_fmt yuv420p".split()),
        *("-c:a:0", "ac3", "-c:a:1", "aac", str(path)),
    )
    return path


async def test_the_first_sound_that_can_be_decoded_is_taken(
    media: MediaTool, tmp_path: Path
) -> None:
    source = make_two_sounds(tmp_path / "source.mp4")
    content = source.read_bytes()
    # A codec that nothing here knows, such as that of a phone's spatial sound.
    source.write_bytes(content.replace(b"ac-3", b"apac").replace(b"dac3", b"free"))
    plan = await media.inspect(source)

    info = await media.convert(source, tmp_path / "target.mp4", plan)

    assert plan.info.audio is not None
    assert plan.info.audio.index == 2
    assert (plan.audio, info.audio and info.audio.codec) == (Treatment.COPY, "aac")


async def test_a_known_sound_whose_packets_are_garbage_gives_way_to_the_second(
    media: MediaTool, tmp_path: Path
) -> None:
    source = make_two_sounds(tmp_path / "source.mkv")
    garbled = tmp_path / "garbled.mkv"
    samples.run_ffmpeg(
        *("-i", str(source), "-map", "0", "-c", "copy", "-bsf:a:0", "noise=amount=1", str(garbled))
    )

    plan = await media.inspect(garbled)

    assert plan.info.audio is not None
    assert plan.info.audio.index == 2


async def test_without_a_sound_that_can_be_decoded_the_video_is_silent(
    media: MediaTool, tmp_path: Path
) -> None:
    source = samples.make_video(tmp_path / "source.mp4", seconds=0.4, size="160x120", audio="ac3")
    source.write_bytes(source.read_bytes().replace(b"ac-3", b"apac").replace(b"dac3", b"free"))

    info = await make_streamable(media, source, tmp_path / "target.mp4")

    assert info.audio is None
