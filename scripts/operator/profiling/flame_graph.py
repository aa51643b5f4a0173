"""What stands in a flame graph: which functions were running themselves, not waiting for those that they called."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

# As py-spy draws a function: its title, how deep it was called, and from which sample on for how many.
_FRAME = re.compile(
    r'<title>(?P<name>.*?) \([\d,]+ samples, [\d.]+%\)</title><rect [^>]*?y="(?P<depth>\d+)"[^>]*?'
    r' fg:x="(?P<begin>\d+)" fg:w="(?P<width>\d+)"/>'
)
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}
_EVERYTHING = "all"


@dataclass(frozen=True)
class Share:
    """A function, and how many samples found it running itself."""

    function: str
    own: int


@dataclass(frozen=True)
class _Frame:
    name: str
    depth: int
    begin: int
    width: int


def count_samples(svg: str) -> int:
    """Return how many samples a picture is made of."""
    return max((frame.width for frame in _list_frames(svg)), default=0)


def list_busiest(svg: str, limit: int) -> list[Share]:
    """Return the functions that were found running most often, the busiest first."""
    frames = list(_list_frames(svg))
    depths = sorted({frame.depth for frame in frames})
    own: Counter[str] = Counter()
    for frame in frames:
        own[frame.name] += frame.width - _width_of_callees(frame, frames, depths)
    own.pop(_EVERYTHING, None)
    return [Share(name, count) for name, count in own.most_common(limit) if count]


def _width_of_callees(frame: _Frame, frames: list[_Frame], depths: list[int]) -> int:
    level = depths.index(frame.depth)
    if level + 1 == len(depths):
        return 0
    end = frame.begin + frame.width
    return sum(
        callee.width
        for callee in frames
        if callee.depth == depths[level + 1] and frame.begin <= callee.begin < end
    )


def _list_frames(svg: str) -> Iterator[_Frame]:
    for match in _FRAME.finditer(svg):
        name = match["name"]
        for entity, sign in _ENTITIES.items():
            name = name.replace(entity, sign)
        yield _Frame(name, int(match["depth"]), int(match["begin"]), int(match["width"]))
