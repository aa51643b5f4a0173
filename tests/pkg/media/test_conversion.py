"""Every kind of video becomes one that the app plays, with the real ffmpeg."""

import subprocess
import time
from pathlib import Path

import pytest

from pkg.media import MediaTool
from tests import media_samples as samples
from tests.pkg.media.samples import KINDS
from tests.pkg.media.streamable import make_streamable

COPIED = ("front.mp4", "end.mp4", "end.mov", "fragments.mp4", "mp3.mp4", "silent.mp4", "h264.mkv")


def hash_video_stream(path: Path) -> str:
    """Return a hash of the compressed pictures alone, without the notes of encoders between them."""
    pictures = "h264_mp4toannexb,filter_units=pass_types=1|5|7|8"
    command = f"ffmpeg -v error -i {path} -map 0:v:0 -c copy -bsf:v {pictures} -f md5 -"
    return subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", KINDS)
async def test_every_kind_becomes_an_mp4_that_the_app_plays(
    media: MediaTool, library: Path, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "target.mp4"

    info = await make_streamable(media, library / name, target)

    assert (info.container, info.video_codec) == ("mov", "h264")
    assert info.pixel_format in ("yuv420p", "yuvj420p")
    assert (info.audio and info.audio.codec) == (None if name == "silent.mp4" else "aac")
    assert info.duration_s == pytest.approx(1, abs=0.15)
    content = target.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("name", COPIED)
async def test_what_the_app_plays_already_keeps_its_pictures(
    media: MediaTool, library: Path, tmp_path: Path, name: str
) -> None:
    await make_streamable(media, library / name, tmp_path / "target.mp4")

    assert hash_video_stream(tmp_path / "target.mp4") == hash_video_stream(library / name)


async def test_a_copy_keeps_its_rotation(media: MediaTool, library: Path, tmp_path: Path) -> None:
    source = samples.make_rotated_video(tmp_path / "source.mp4", library / "front.mp4", degrees=90)

    info = await make_streamable(media, source, tmp_path / "target.mp4")

    assert (info.width, info.height, abs(info.rotation)) == (320, 240, 90)


async def test_a_rotated_video_is_upright_when_it_is_encoded_again(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    source = samples.make_rotated_video(tmp_path / "source.mp4", library / "mpeg4.mp4", degrees=90)

    info = await make_streamable(media, source, tmp_path / "target.mp4")

    assert (info.width, info.height, info.rotation) == (240, 320, 0)


async def test_odd_sides_become_even(media: MediaTool, tmp_path: Path) -> None:
    source = samples.make_video(
        tmp_path / "odd.webm", size="161x121", video="libvpx -deadline realtime", audio=None
    )

    info = await make_streamable(media, source, tmp_path / "target.mp4")

    assert (info.width, info.height) == (160, 120)


async def test_a_huge_video_is_shrunk_within_the_memory_limit(
    media: MediaTool, tmp_path: Path
) -> None:
    source = samples.make_video(
        tmp_path / "huge.mp4",
        size="2160x3840",
        seconds=0.4,
        video="libx265 -preset ultrafast -pix_fmt yuv420p10le",
    )

    info = await make_streamable(media, source, tmp_path / "target.mp4")

    assert (info.width, info.height) == (1080, 1920)


async def test_place_phone_and_title_are_left_out(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    source = samples.make_located_video(tmp_path / "source.mp4", library / "front.mp4")
    assert b"+31.2304" in source.read_bytes()

    await make_streamable(media, source, tmp_path / "target.mp4")

    content = (tmp_path / "target.mp4").read_bytes()
    assert not any(word in content for word in (b"+31.2304", b"PhoneMaker", b"private title"))


async def test_a_few_broken_pictures_do_not_cost_the_video(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    source = samples.spoil(tmp_path / "spoilt.mp4", library / "end.mp4", begin=0.6, end=0.601)

    info = await make_streamable(media, source, tmp_path / "target.mp4")

    assert info.duration_s == pytest.approx(1, abs=0.15)


async def test_45_mb_take_seconds(media: MediaTool, tmp_path: Path) -> None:
    source = samples.make_video_of_size(tmp_path / "source.mp4", size_mb=45)

    begin = time.monotonic()
    await make_streamable(media, source, tmp_path / "target.mp4")
    await media.make_cover(tmp_path / "target.mp4", tmp_path / "cover.jpg")

    print(f"45 MB processed in {time.monotonic() - begin:.2f} s")
    assert source.stat().st_size == 45_000_000
