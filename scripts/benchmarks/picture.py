"""Lines over sizes as an SVG picture, both axes logarithmic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN, LEGEND = 720, 420, 60, 150
# Told apart by people who see fewer colours as well (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


@dataclass(frozen=True)
class Line:
    """A name and one positive value for each size."""

    name: str
    values: Sequence[float]


def draw_lines(title: str, sizes: Sequence[str], lines: Sequence[Line]) -> str:
    """Return the picture; the vertical axis goes by powers of ten."""
    logs = [math.log10(value) for line in lines for value in line.values]
    low, high = math.floor(min(logs)), max(math.ceil(max(logs)), math.floor(min(logs)) + 1)
    right, bottom = WIDTH - LEGEND, HEIGHT - MARGIN

    def x_of(column: int) -> float:
        return MARGIN + (right - MARGIN) * column / max(len(sizes) - 1, 1)

    def y_of(log: float) -> float:
        return bottom - (bottom - MARGIN) * (log - low) / (high - low)

    parts = [_text(MARGIN, 30, title)]
    for power in range(low, high + 1):
        y = y_of(power)
        parts.append(f'<path d="M{MARGIN} {y:.1f}H{right}" stroke="#ccc"/>')
        parts.append(_text(8, y + 4, f"{10.0**power:g}"))
    parts += [_text(x_of(column) - 12, bottom + 24, size) for column, size in enumerate(sizes)]
    for number, line in enumerate(lines):
        points = [
            (x_of(column), y_of(math.log10(value))) for column, value in enumerate(line.values)
        ]
        colour = COLOURS[number % len(COLOURS)]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(right + 12, MARGIN + 22 * number, line.name, colour))
    return _wrap(parts)


def _text(x: float, y: float, text: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{escape(text)}</text>'


def _wrap(parts: Sequence[str]) -> str:
    inner = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
        ' font-family="sans-serif" font-size="13">\n<rect width="100%" height="100%" fill="white"/>\n'
        f"{inner}\n</svg>\n"
    )
