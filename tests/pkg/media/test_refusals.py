"""Broken files and files that lie about what they are, refused with the real ffmpeg."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pkg.media import MediaTool, UnreadableVideo
from pkg.media.errors import (
    ENCRYPTED,
    PICTURE_TOO_LARGE,
    TOO_EXPENSIVE,
    UNKNOWN_FORMAT,
)
from tests import media_samples as samples
from tests.pkg.media.samples import OTHER_HEADS
from tests.pkg.media.streamable import make_streamable

# Files whose container says how long they are.
DECLARING = (
    "front.mp4",
    "end.mp4",
    "end.mov",
    "fragments.mp4",
    "hevc.mp4",
    "h264.mkv",
    "vp8.webm",
    "browser.webm",
)


@pytest.mark.parametrize("name", DECLARING)
async def test_a_truncated_file_is_refused_wherever_it_ends(
    media: MediaTool, library: Path, tmp_path: Path, name: str
) -> None:
    source = library / name
    length = source.stat().st_size
    shares = (0.02, 0.3, 0.5, 0.9, 0.99)

    for size in [round(length * share) for share in shares] + [length - 100, length - 1]:
        broken = samples.cut(tmp_path / name, source, size=size)
        with pytest.raises(UnreadableVideo) as caught:
            await make_streamable(media, broken, tmp_path / "target.mp4")
        assert "损坏" in caught.value.reason, f"{size} of {length} bytes"


async def test_an_index_without_pictures_is_refused(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    content = (library / "front.mp4").read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content[: content.index(b"mdat") - 4])

    with pytest.raises(UnreadableVideo):
        await make_streamable(media, broken, tmp_path / "target.mp4")


@pytest.mark.parametrize("name", ["front.mp4", "hevc.mp4", "vp9.webm", "mpeg4.avi"])
async def test_garbage_inside_is_refused(
    media: MediaTool, library: Path, tmp_path: Path, name: str
) -> None:
    source = samples.spoil(tmp_path / name, library / name, begin=0.3, end=0.9)

    with pytest.raises(UnreadableVideo):
        await make_streamable(media, source, tmp_path / "target.mp4")


@pytest.mark.parametrize("name", OTHER_HEADS)
async def test_what_only_has_the_name_of_a_video_is_refused(
    media: MediaTool, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "video.mp4"
    head, reason = OTHER_HEADS[name]
    source.write_bytes(head)

    with pytest.raises(UnreadableVideo) as caught:
        await make_streamable(media, source, tmp_path / "target.mp4")
    assert caught.value.reason == reason


async def test_a_playlist_behind_the_head_of_a_video_opens_no_other_file(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    source = tmp_path / "video.mp4"
    head = (library / "end.mp4").read_bytes()[:32]
    source.write_bytes(head + samples.HLS_PLAYLIST * 9)

    with pytest.raises(UnreadableVideo):
        await make_streamable(media, source, tmp_path / "target.mp4")


async def test_audio_alone_is_no_video(media: MediaTool, tmp_path: Path) -> None:
    source = samples.make_audio(tmp_path / "audio.mp4")

    with pytest.raises(UnreadableVideo, match="没有视频画面"):
        await make_streamable(media, source, tmp_path / "target.mp4")


async def test_a_cover_is_no_video(media: MediaTool, tmp_path: Path) -> None:
    cover = samples.make_picture(tmp_path / "cover.jpg")
    source = samples.make_audio_with_cover(tmp_path / "song.mp4", cover)

    with pytest.raises(UnreadableVideo, match="没有视频画面"):
        await make_streamable(media, source, tmp_path / "target.mp4")


@pytest.mark.parametrize("name", ["front.mp4", "browser.webm"])
async def test_a_long_video_is_refused_even_if_it_hides_its_length(
    make_media: Callable[..., MediaTool], library: Path, tmp_path: Path, name: str
) -> None:
    media = make_media(max_duration_s=0.5)

    with pytest.raises(UnreadableVideo, match="太长"):
        await make_streamable(media, library / name, tmp_path / "target.mp4")


@pytest.mark.parametrize("name", ["whole", "in fragments"])
async def test_an_encrypted_video_is_told_so(
    media: MediaTool, library: Path, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "source.mp4"
    options = {"whole": (), "in fragments": ("-movflags", "frag_keyframe+empty_moov")}[name]
    key, key_id = "01" * 16, "02" * 16
    encryption = f"-encryption_scheme cenc-aes-ctr -encryption_key {key} -encryption_kid {key_id}"
    samples.run_ffmpeg(
        *("-i", str(library / "front.mp4"), "-c", "copy"),
        *encryption.split(),
        *options,
        str(source),
    )

    with pytest.raises(UnreadableVideo) as caught:
        await media.inspect(source)

    assert caught.value.reason == ENCRYPTED


async def test_a_codec_that_nothing_here_knows_is_an_unsupported_format(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source.mp4"
    content = (library / "mpeg4.mp4").read_bytes()
    source.write_bytes(content.replace(b"mp4v", b"zzzz").replace(b"esds", b"free"))

    with pytest.raises(UnreadableVideo) as caught:
        await make_streamable(media, source, tmp_path / "target.mp4")

    assert caught.value.reason == UNKNOWN_FORMAT


async def test_small_files_with_huge_pictures_are_refused_before_the_work_begins(
    media: MediaTool, make_media: Callable[..., MediaTool], tmp_path: Path
) -> None:
    source = tmp_path / "huge.mp4"
    encoder = "-c:v mpeg4 -q:v 31 -s 6144x6144"
    samples.run_ffmpeg(
        *["-f", "lavfi", "-i", "color=c=black:s=64x64:r=2:d=1"], *encoder.split(), str(source)
    )
    assert source.stat().st_size < 1_000_000

    with pytest.raises(UnreadableVideo) as caught:
        await media.inspect(source)
    assert caught.value.reason == PICTURE_TOO_LARGE

    with pytest.raises(UnreadableVideo) as caught:
        await make_media(max_picture_mpx=70, max_cost_s=1.5).inspect(source)
    assert caught.value.reason == TOO_EXPENSIVE


async def test_small_files_with_countless_pictures_are_refused_before_the_work_begins(
    make_media: Callable[..., MediaTool], tmp_path: Path
) -> None:
    source = tmp_path / "countless.avi"
    samples.run_ffmpeg(
        *["-f", "lavfi", "-i", "color=c=black:s=64x64:r=5000:d=1"],
        *["-c:v", "mpeg4", "-q:v", "31"],
        str(source),
    )

    with pytest.raises(UnreadableVideo) as caught:
        await make_media(max_cost_s=1.5).inspect(source)

    assert caught.value.reason == TOO_EXPENSIVE
