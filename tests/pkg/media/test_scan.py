"""What is read from packets, parameter sets and progress reports, without ffmpeg."""

import pytest

from pkg.media import UnreadableVideo
from pkg.media.errors import TOO_EXPENSIVE
from pkg.media.progress import Progress
from pkg.media.scan import PacketReader, ParameterSetReader, Timeline

SPS, OTHER_SPS = b"\x67\x64\x00\x28\xac", b"\x67\x64\x00\x33\xac"
# The first bits after the kind are the number of the set: 1 is 0, 010 is 1.
PPS_0, OTHER_PPS_0, PPS_1 = b"\x68\xee\x3c", b"\x68\xef\x3c", b"\x68\x4e\x3c"


def read_packets(lines: str, *, piece: int = 7) -> PacketReader:
    reader, content = PacketReader(), lines.encode()
    for start in range(0, len(content), piece):
        reader.feed(content[start : start + piece])
    return reader


def read_sets(*units: bytes, piece: int = 3) -> bool:
    reader = ParameterSetReader()
    content = b"".join(b"\0\0\0\1" + unit for unit in units)
    for start in range(0, len(content), piece):
        reader.feed(content[start : start + piece])
    return reader.is_constant()


def test_the_packets_of_each_stream_are_counted_and_timed() -> None:
    reader = read_packets(
        "0,0.00,-0.08,0.04,K_\n1,0.0,0.0,0.02,K_\n0,0.08,-0.04,0.04,__\n0,0.04,0.00,0.04,__,side data\n"
    )

    video = reader.timeline(0)
    assert (video.packets, video.starts_with_key, video.is_ordered) == (3, True, True)
    assert video.duration_s == pytest.approx(0.12)
    assert video.frame_rate == pytest.approx(25)
    assert reader.timeline(1).packets == 1
    assert reader.timeline(2) == Timeline()


@pytest.mark.parametrize(
    ("lines", "hidden"),
    [
        ("0,-0.04,-0.08,0.04,KD\n0,0.00,-0.04,0.04,__\n", 1),
        ("0,-0.08,-0.08,0.04,K_\n0,-0.04,-0.04,0.04,__\n0,0.00,0.00,0.04,__\n", 2),
        ("0,0.00,0.00,0.04,K_\n", 0),
    ],
)
def test_what_an_edit_list_hides_is_counted(lines: str, hidden: int) -> None:
    assert read_packets(lines).timeline(0).hidden_packets == hidden


@pytest.mark.parametrize(
    "lines",
    [
        "0,0.08,0.00,0.04,K_\n0,0.00,0.04,0.04,__\n",
        "0,0.00,0.00,0.04,K_\n0,0.04,0.00,0.04,__\n",
        "0,0.00,0.04,0.04,K_\n0,0.04,0.00,0.04,__\n",
    ],
    ids=["shown before the first packet", "the same time twice", "backwards"],
)
def test_packets_out_of_order_are_noticed(lines: str) -> None:
    assert not read_packets(lines).timeline(0).is_ordered


def test_more_packets_than_anybody_films_are_not_counted_to_the_end() -> None:
    reader, chunk = PacketReader(), b"0,0,0,0,K_\n" * 100_000
    for _ in range(10):
        reader.feed(chunk)

    with pytest.raises(UnreadableVideo) as caught:
        reader.feed(chunk)

    assert caught.value.reason == TOO_EXPENSIVE


def test_unknown_times_are_no_disorder() -> None:
    timeline = read_packets("0,N/A,N/A,N/A,K_\n0,N/A,N/A,N/A,__\n").timeline(0)

    assert (timeline.packets, timeline.is_ordered, timeline.duration_s) == (2, True, 0)


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_parameter_sets_that_are_repeated_are_constant(piece: int) -> None:
    assert read_sets(SPS, PPS_0, SPS, PPS_0, piece=piece)
    assert read_sets(SPS, PPS_0, PPS_1, SPS, PPS_0, PPS_1, piece=piece)


def test_zeros_between_parameter_sets_are_none() -> None:
    assert read_sets(b"", SPS, PPS_0 + b"\0\0\0", SPS, PPS_0)
    assert ParameterSetReader().is_constant() is False

    reader = ParameterSetReader()
    reader.feed(b"\0\0\0\0\1" + SPS + b"\0\0\1" + PPS_0)

    assert reader.is_constant()


@pytest.mark.parametrize(
    "units",
    [
        (),
        (SPS,),
        (PPS_0,),
        (SPS, PPS_0, OTHER_SPS, PPS_0),
        (SPS, PPS_0, SPS, OTHER_PPS_0),
        (SPS + b"\x01" * 600, PPS_0),
        (SPS, PPS_0, b"\x6f" + b"\x01" * 5000),
    ],
    ids=["none", "no picture set", "no sequence set", "size", "pictures", "stuffed", "endless"],
)
def test_parameter_sets_that_change_or_hide_something_are_noticed(units: tuple[bytes, ...]) -> None:
    assert not read_sets(*units)


def test_progress_is_told_as_a_share_that_never_falls() -> None:
    told: list[float] = []
    progress = Progress(10.0, told.append)

    for report in (b"frame=1\nout_time_us=N/A\n", b"out_time_us=2500", b"000\nframe=2\n"):
        assert progress.feed(report) is (b"=1" in report or b"=2\n" in report)
    assert not progress.feed(b"out_time_us=2000000\nframe=2\nspeed=1x\n")
    assert progress.feed(b"out_time_us=99000000\n")

    assert told == [0.25, 0.99]


def test_progress_without_a_duration_is_watched_but_not_told() -> None:
    told: list[float] = []

    assert Progress(None, told.append).feed(b"out_time_us=1000\n")
    assert told == []
