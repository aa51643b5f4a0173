"""What the author of a file is told that is not accepted because of what its bytes say it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pkg.media.containers import Container, find_container
from pkg.media.errors import (
    EMPTY,
    ENCRYPTED,
    IS_AUDIO,
    IS_PICTURE,
    NOT_A_VIDEO,
    UnreadableVideo,
    unsupported_format,
)

# Where in the file the sign stands, the sign, what the author is told.
OTHER_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", unsupported_format("WMV")),
    (0, b".RMF", unsupported_format("RealMedia")),
    (0, b"\x06\x0e\x2b\x34", unsupported_format("MXF")),
    (28, b"\x01video", unsupported_format("OGG")),
    (28, b"\x80theora", unsupported_format("OGG")),
    (0, b"OggS", IS_AUDIO),
    (0, b"\x00\x00\x01\xb3", unsupported_format("MPEG")),
    (0, b"\x89PNG", IS_PICTURE),
    (0, b"\xff\xd8\xff", IS_PICTURE),
    (0, b"GIF8", IS_PICTURE),
    (0, b"II*\x00", IS_PICTURE),
    (0, b"MM\x00*", IS_PICTURE),
    (8, b"WEBP", IS_PICTURE),
    *(
        (4, b"ftyp" + brand, IS_PICTURE)
        for brand in (b"hei", b"hev", b"mif", b"msf", b"avi", b"crx")
    ),
    *((4, b"ftyp" + brand, IS_AUDIO) for brand in (b"M4A", b"M4B", b"F4A", b"F4B")),
    (4, b"ftypM4P", ENCRYPTED),
    (0, b"ID3", IS_AUDIO),
    (0, b"fLaC", IS_AUDIO),
    (0, b"#!AMR", IS_AUDIO),
    (0, b"FLV\x01", IS_AUDIO),
    (8, b"WAVE", IS_AUDIO),
)
# Boxes of an MP4 on the way to the descriptions of its streams.
PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
# Kinds of streams whose samples are encrypted: of the standard (CENC), and of iTunes.
ENCRYPTED_ENTRIES = frozenset({b"encv", b"enca", b"drmi", b"drms"})
BOXES_LIMIT = 10_000


def find_refusal(head: bytes) -> str | None:
    """Return what the author is told about a file that begins with `head`; None where it may be a video.

    Args:
        head: the first `HEAD_SIZE` bytes, or the whole file.
    """
    if find_container(head) is not None:
        return None
    if not head:
        return EMPTY
    if _begins_like_raw_audio(head):
        return IS_AUDIO
    return next(
        (told for offset, sign, told in OTHER_KINDS if head[offset:].startswith(sign)), NOT_A_VIDEO
    )


def _begins_like_raw_audio(head: bytes) -> bool:
    """Tell the first bytes of MP3 (layers II and III) and AAC frames from others that begin with ones."""
    if len(head) < 2 or head[0] != 0xFF or head[1] < 0xE0:
        return False
    return head[1] & 0x06 in (0x02, 0x04) or head[1] & 0xF6 == 0xF0


def require_not_encrypted(path: Path, container: Container) -> None:
    """Check that an MP4 does not describe a stream as encrypted.

    Raises:
        UnreadableVideo: it does.
    """
    if container is not Container.MP4:
        return
    with path.open("rb") as file:
        for kind in _list_sample_entries(file, path.stat().st_size):
            if kind in ENCRYPTED_ENTRIES:
                raise UnreadableVideo(ENCRYPTED, detail=f"a stream is {kind.decode()}")


def _list_sample_entries(file: BinaryIO, file_size: int) -> Iterator[bytes]:
    """Yield the kind of every stream; what is no box ends the walk, for others to judge."""
    spans = [(0, file_size)]
    for _ in range(BOXES_LIMIT):
        if not spans:
            return
        start, end = spans.pop()
        file.seek(start)
        header = file.read(16)
        size, kind = int.from_bytes(header[:4]), header[4:8]
        header_size = 16 if size == 1 else 8
        if size == 1:
            size = int.from_bytes(header[8:16])
        box_end = end if size == 0 else start + size
        if len(header) < 8 or box_end - start < header_size:
            continue
        if box_end < end:
            spans.append((box_end, end))
        if kind in PARENTS:
            spans.append((start + header_size, min(box_end, end)))
        elif kind == b"stsd":
            # Version, flags and the number of entries stand before the first entry.
            file.seek(start + header_size + 8)
            yield file.read(8)[4:8]
