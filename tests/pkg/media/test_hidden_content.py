"""Nothing that a player would not show is in the published file."""

import subprocess
from pathlib import Path

import pytest

from pkg.media import MediaTool
from pkg.media.plans import Treatment
from tests import media_samples as samples
from tests.pkg.media.streamable import make_streamable

SECRET = b"at-home-31.2304-121.4737"


def count_frames(path: Path) -> int:
    command = f"ffprobe -v error -select_streams v -count_packets -show_entries stream=nb_read_packets -of csv=p=0 {path}"
    return int(subprocess.run(command.split(), capture_output=True, check=True).stdout)


def edit(path: Path, source: Path, *options: str) -> Path:
    samples.run_ffmpeg("-i", str(source), *options, str(path))
    return path


def shorten(path: Path, source: Path, *, shown_ms: int) -> Path:
    """Let the first edit of the video stream end earlier, as editors do it that copy."""
    content = bytearray(source.read_bytes())
    first = content.index(b"elst") + 12
    content[first : first + 4] = shown_ms.to_bytes(4)
    path.write_bytes(content)
    return path


def list_streams(path: Path) -> list[str]:
    command = f"ffprobe -v error -show_entries stream=codec_type -of csv=p=0 {path}"
    return subprocess.run(
        command.split(), capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 50 frames with a key frame each second."""
    path = tmp_path_factory.mktemp("filmed") / "filmed.mp4"
    encoder = "libx264 -preset ultrafast -pix_fmt yuv420p -bf 2 -g 25"
    return samples.make_video(path, seconds=2, size="160x120", video=encoder)


def with_secrets(path: Path, source: Path) -> Path:
    """Hide the secret wherever phones, editors and people hide something in a file."""
    note, subtitles = path.with_suffix(".txt"), path.with_suffix(".srt")
    note.write_bytes(SECRET)
    subtitles.write_text(f"1\n00:00:00,000 --> 00:00:01,000\n{SECRET.decode()}\n")
    text, folder = SECRET.decode(), path.parent
    notes = "h264_metadata=sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+" + text
    tags = [f"location={text}", f"comment={text}", f"title={text}"]
    tagged = folder / f"tagged{path.suffix}"
    samples.run_ffmpeg(
        *("-i", str(source), "-i", str(subtitles), "-map", "0", "-map", "1", "-c", "copy"),
        *("-c:s", "mov_text" if path.suffix == ".mp4" else "srt", "-bsf:v", notes),
        *(part for tag in tags for part in ("-metadata", tag)),
        *("-metadata:s:v", f"title={text}", "-metadata:s:a", f"handler_name={text}"),
        *(
            ("-attach", str(note), "-metadata:s:t", "mimetype=text/plain")
            if path.suffix == ".mkv"
            else ()
        ),
        str(tagged),
    )
    boxes = b"".join(
        (8 + len(SECRET)).to_bytes(4) + kind + SECRET
        for kind in (b"free", b"skip", b"uuid", b"udta")
    )
    path.write_bytes(tagged.read_bytes() + (boxes + SECRET if path.suffix == ".mp4" else b""))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
async def test_secrets_beside_the_pictures_are_left_out_of_a_copy(
    media: MediaTool, filmed: Path, tmp_path: Path, suffix: str
) -> None:
    source = with_secrets(tmp_path / f"source{suffix}", filmed)
    assert source.read_bytes().count(SECRET) >= 4
    plan = await media.inspect(source)

    await media.convert(source, tmp_path / "target.mp4", plan)
    await media.make_cover(tmp_path / "target.mp4", tmp_path / "cover.jpg")

    assert plan.video is Treatment.COPY
    assert count_frames(tmp_path / "target.mp4") == 50
    for name in ("target.mp4", "cover.jpg"):
        content = (tmp_path / name).read_bytes()
        assert SECRET not in content
        assert not any(word in content for word in (b"x264 - core", b"Lavf"))


async def test_secrets_are_left_out_of_what_is_encoded_again(
    media: MediaTool, filmed: Path, tmp_path: Path
) -> None:
    source = with_secrets(tmp_path / "source.mp4", filmed)
    other = edit(tmp_path / "source.ts", source, "-map", "0:v", "-map", "0:a", "-c", "copy")

    await make_streamable(media, other, tmp_path / "target.mp4")

    content = (tmp_path / "target.mp4").read_bytes()
    assert not any(word in content for word in (SECRET, b"x264 - core", b"Lavf"))


TRIMS = {
    "beginning": ("cut.mp4", ()),
    "beginning, in fragments": ("cut.mp4", ("-movflags", "frag_keyframe+delay_moov")),
}


@pytest.mark.parametrize("name", TRIMS)
async def test_what_was_cut_off_the_beginning_is_not_published(
    media: MediaTool, filmed: Path, tmp_path: Path, name: str
) -> None:
    file, options = TRIMS[name]
    # Keeps from 1.48 s on: the packets from the key frame at 1 s stay in the file, hidden by an edit list.
    source = tmp_path / file
    samples.run_ffmpeg("-ss", "1.48", "-i", str(filmed), "-c", "copy", *options, str(source))
    assert count_frames(source) > 20

    info = await make_streamable(media, source, tmp_path / "target.mp4")

    assert count_frames(tmp_path / "target.mp4") == pytest.approx(13, abs=1)
    assert info.duration_s == pytest.approx(0.52, abs=0.08)


async def test_what_was_cut_off_the_end_is_not_published(
    media: MediaTool, filmed: Path, tmp_path: Path
) -> None:
    source = shorten(tmp_path / "source.mp4", filmed, shown_ms=520)

    await make_streamable(media, source, tmp_path / "target.mp4")

    assert count_frames(tmp_path / "target.mp4") == pytest.approx(13, abs=1)


async def test_a_second_video_and_a_second_sound_are_left_out(
    media: MediaTool, filmed: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source.mp4"
    streams = ("-map", "0", "-map", "1")
    samples.run_ffmpeg("-i", str(filmed), "-i", str(filmed), *streams, "-c", "copy", str(source))

    await make_streamable(media, source, tmp_path / "target.mp4")

    assert list_streams(tmp_path / "target.mp4") == ["video", "audio"]
