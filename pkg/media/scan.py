"""What a walk through a file's packets tells, without decoding: timing, what is hidden, and parameter sets."""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from pkg.media.errors import TOO_EXPENSIVE, UnreadableVideo

# Printed for each packet, in this order.
PACKET_ENTRIES = "packet=stream_index,pts_time,dts_time,duration_time,flags"
LINE_LIMIT_BYTES = 4096
# Half an hour of 240 pictures a second, with an audio stream. More are not worth counting.
PACKETS_LIMIT = 1_000_000
START_CODE = re.compile(rb"\x00\x00\x00?\x01")
SPS, PPS = 7, 8
# A sequence or picture parameter set of a camera has some dozen bytes.
PARAMETER_SET_LIMIT_BYTES = 512
PARAMETER_SETS_LIMIT = 64


@dataclass
class Timeline:
    """The packets of one stream, in the order in which they are stored."""

    packets: int = 0
    hidden_s: float = (
        0.0  # needed for decoding at most: an edit list or a time below zero hides them
    )
    hidden_packets: int = 0
    starts_with_key: bool = False
    is_ordered: bool = True  # decoding times rise, and nothing is shown before the first packet
    begin_s: float | None = None
    end_s: float = 0.0
    _last_dts: float | None = field(default=None, repr=False)

    @property
    def duration_s(self) -> float:
        """From the first to the end of the last shown packet."""
        return self.end_s - (self.begin_s or 0.0)

    @property
    def frame_rate(self) -> float:
        """Packets per second on average."""
        return self.packets / self.duration_s if self.duration_s > 0 else 0.0

    def add(self, *, pts: float | None, dts: float | None, duration: float, flags: str) -> None:
        """Take the next packet; the first one decides where the stream begins."""
        if self.packets == 0:
            self.starts_with_key = "K" in flags
        self.packets += 1
        if dts is not None:
            self.is_ordered &= self._last_dts is None or dts > self._last_dts
            self._last_dts = dts
        time = pts if pts is not None else dts
        if time is None:
            return
        if self.begin_s is None:
            self.begin_s = time
        self.is_ordered &= time >= self.begin_s
        self.end_s = max(self.end_s, time + duration)
        if "D" in flags or time < -0.001:
            self.hidden_packets += 1
            self.hidden_s += duration


class PacketReader:
    """Reads ffprobe's lines of packets as they are printed."""

    def __init__(self) -> None:
        self._rest = b""
        self._packets = 0
        self._timelines: defaultdict[int, Timeline] = defaultdict(Timeline)

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of output.

        Raises:
            UnreadableVideo: there are so many packets that already counting them takes long.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        # A line of a packet is short; whatever else is printed is not kept.
        self._rest = self._rest[:LINE_LIMIT_BYTES]
        self._packets += len(lines)
        if self._packets > PACKETS_LIMIT:
            raise UnreadableVideo(TOO_EXPENSIVE, detail=f"over {PACKETS_LIMIT} packets")
        for line in lines:
            self._read_line(line.decode(errors="replace"))

    def timeline(self, index: int) -> Timeline:
        """Return what was read of one stream of the file."""
        return self._timelines[index]

    def _read_line(self, line: str) -> None:
        match line.split(",")[:5]:
            case [index, pts, dts, duration, flags] if index.isdigit():
                self._timelines[int(index)].add(
                    pts=_seconds(pts),
                    dts=_seconds(dts),
                    duration=_seconds(duration) or 0.0,
                    flags=flags,
                )


class ParameterSetReader:
    """Tells from the parameter sets of an H.264 stream, in their order, whether any changes midway."""

    def __init__(self) -> None:
        self._rest = b""
        self._sets: set[bytes] = set()
        self._is_constant = True

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the stream, which consists of parameter sets alone."""
        if not self._is_constant:
            return
        *units, self._rest = START_CODE.split(self._rest + chunk)
        for unit in units:
            self._add(unit)
        self._is_constant &= len(self._rest) <= 2 * PARAMETER_SET_LIMIT_BYTES

    def is_constant(self) -> bool:
        """Tell, at the end, whether there was one sequence parameter set and each picture parameter set but once."""
        self._add(self._rest)
        self._rest = b""
        kinds = [unit[0] & 0x1F for unit in self._sets]
        ids = {_picture_set_id(unit) for unit in self._sets if unit[0] & 0x1F == PPS}
        return self._is_constant and kinds.count(SPS) == 1 and kinds.count(PPS) == len(ids) > 0

    def _add(self, unit: bytes) -> None:
        # Zeros may stand behind a unit, and before the first one.
        unit = unit.rstrip(b"\0")
        if not unit:
            return
        self._sets.add(unit)
        if len(self._sets) > PARAMETER_SETS_LIMIT or len(unit) > PARAMETER_SET_LIMIT_BYTES:
            self._is_constant = False


def _picture_set_id(unit: bytes) -> int:
    """Read the first number of a picture parameter set: an Exp-Golomb code."""
    bits = "".join(f"{byte:08b}" for byte in unit[1:5])
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "0", 2) - 1


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
