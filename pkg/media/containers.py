"""What the bytes of a video file say about it, read without a decoder.

The first bytes name the container: an upload without a known one is refused in the reply, and ffmpeg is told which demuxer
to use, so that no file is taken for a playlist. The sizes that a container declares tell whether its end is missing, which
a demuxer may overlook: it plays what is there.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

HEAD_SIZE = 4096


class Container(StrEnum):
    """A kind of video file; the value is the name of ffmpeg's demuxer."""

    MP4 = "mov"  # and QuickTime, 3GP
    MATROSKA = "matroska"  # and WebM
    AVI = "avi"
    FLV = "flv"
    MPEG_TS = "mpegts"
    MPEG_PS = "mpeg"


# The boxes that may stand first in an MP4 or QuickTime file. Old recorders write no "ftyp".
MP4_FIRST_BOXES = frozenset(
    {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"}
)
# Brands of files that hold still pictures or audio alone (HEIF, AVIF, Canon raw, audio books).
MP4_OTHER_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"}
    | {b"crx ", b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "}
)
# Where a box of these kinds ends after the end of the file, something is missing. Other kinds do not
# count: some cameras append data of their own, whose bytes are no boxes.
MP4_MEASURED_BOXES = frozenset({b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"meta", b"uuid"})
EBML_MAGIC = b"\x1a\x45\xdf\xa3"
MATROSKA_SEGMENT = b"\x18\x53\x80\x67"


def find_container(head: bytes) -> Container | None:
    """Return the container that the first `HEAD_SIZE` bytes of a file announce."""
    return next((kind for kind, begins in BEGINNINGS.items() if begins(head)), None)


def _begins_like_mp4(head: bytes) -> bool:
    if len(head) < 16 or head[4:8] not in MP4_FIRST_BOXES:
        return False
    size = int.from_bytes(head[:4])
    if head[4:8] == b"ftyp":
        return size >= 16 and head[8:12] not in MP4_OTHER_BRANDS
    return size in (0, 1) or size >= 8


def _begins_like_matroska(head: bytes) -> bool:
    return head.startswith(EBML_MAGIC) and (b"webm" in head[:80] or b"matroska" in head[:80])


def _begins_like_avi(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"AVI "


def _begins_like_flv(head: bytes) -> bool:
    # Bit 0 of the flags says that the file has a video stream.
    return head.startswith(b"FLV\x01") and len(head) > 9 and bool(head[4] & 1)


def _begins_like_ps(head: bytes) -> bool:
    return head.startswith(b"\x00\x00\x01\xba")


def _begins_like_ts(head: bytes) -> bool:
    # Cameras write 192 bytes per packet: four of a clock, then the 188 of the standard.
    return any(
        head[start : start + 4 * size : size] == b"\x47" * 4
        for start, size in ((0, 188), (4, 192), (0, 204))
    )


BEGINNINGS: dict[Container, Callable[[bytes], bool]] = {
    Container.MP4: _begins_like_mp4,
    Container.MATROSKA: _begins_like_matroska,
    Container.AVI: _begins_like_avi,
    Container.FLV: _begins_like_flv,
    Container.MPEG_PS: _begins_like_ps,
    Container.MPEG_TS: _begins_like_ts,
}


def is_cut_short(path: Path, container: Container) -> bool:
    """Tell whether the file is shorter than its container declares; False where the container declares nothing."""
    file_size = path.stat().st_size
    with path.open("rb") as file:
        if container is Container.MP4:
            return any(
                kind in MP4_MEASURED_BOXES and end > file_size
                for kind, end in _walk_boxes(file, file_size)
            )
        if container is Container.MATROSKA:
            return _find_segment_end(file.read(HEAD_SIZE)) > file_size
        if container is Container.AVI:
            return _find_riff_end(file.read(8)) > file_size
    return False


def _walk_boxes(file: BinaryIO, file_size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and the end of every box of the top level; the last one may end after the end of the file."""
    start = 0
    while start + 8 <= file_size:
        file.seek(start)
        header = file.read(16)
        size, kind = int.from_bytes(header[:4]), header[4:8]
        if size == 0:  # up to the end of the file
            return
        if size == 1:
            size = int.from_bytes(header[8:16])
        if size < 8:  # no box: data of the camera
            return
        start += size
        yield kind, start


def _find_segment_end(head: bytes) -> int:
    """Return where the Matroska segment ends, or 0 where a live recorder has left its size open."""
    start = head.find(MATROSKA_SEGMENT)
    if start < 0 or start + 12 > len(head):
        return 0
    start += len(MATROSKA_SEGMENT)
    # The number of leading zero bits is the number of bytes that follow the first one.
    length = 9 - head[start].bit_length()
    if length > 8:
        return 0
    value_mask = (1 << 7 * length) - 1
    size = int.from_bytes(head[start : start + length]) & value_mask
    return 0 if size == value_mask else start + length + size


def _find_riff_end(head: bytes) -> int:
    # Recorders that could not seek back leave 0 or all ones; a few count the header in, or a byte too many.
    size = int.from_bytes(head[4:8], "little")
    return 0 if size == 0xFFFFFFFF else size
