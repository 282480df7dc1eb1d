"""Line charts of seconds on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from hgx.units import format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH, HEIGHT = 400, 230
"""Of a panel, in pixels, with what is around it."""

LEFT, RIGHT, TOP, BOTTOM = 62, 18, 34, 40
COLOURS = ("#1f5fbf", "#c2541b", "#3b8f4e", "#7a4fa3")
CORNERS = (24, 4, 3, 5)
"""Of the marks of the lines, in their order: told apart without colours, too."""

INK, GRID = "#1f2a3a", "#d9dee6"


class Point(NamedTuple):
    """A measurement: how large, how long, and whether it was finished by then."""

    size: int
    seconds: float
    finished: bool = True


class Line(NamedTuple):
    """What belongs together."""

    name: str
    points: Sequence[Point]


class Panel(NamedTuple):
    """A chart; lines of the same name have the same colour in all of them."""

    title: str
    axis: str
    lines: Sequence[Line]


def draw(rows: Sequence[Sequence[Panel]], title: str, note: str) -> str:
    """Draw panels in rows, with one scale of seconds for all.

    Args:
        rows: The panels; at least one point in all.
        title: What is shown.
        note: What to know of it, below.
    """
    panels = [panel for row in rows for panel in row]
    seconds = [p.seconds for panel in panels for line in panel.lines for p in line.points]
    low = math.floor(math.log10(min(seconds)))
    high = max(low + 1, math.ceil(math.log10(max(seconds))))
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    width = WIDTH * max(len(row) for row in rows)
    height = 64 + HEIGHT * len(rows) + 34
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg {box} role="img" font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f"  <title>{escape(title)}</title>",
        f'  <rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(20, 28, title, size=16, bold=True),
        *_legend(names),
    ]
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            parts += _panel(panel, (WIDTH * x, 64 + HEIGHT * y), (low, high), names)
    parts += [_text(20, height - 14, note), "</svg>"]
    return "\n".join(parts) + "\n"


def _legend(names: Sequence[str]) -> Iterator[str]:
    for at, name in enumerate(names):
        x = 20 + 110 * at
        yield _stroke([(x, 48), (x + 22, 48)], COLOURS[at % len(COLOURS)])
        yield _mark(x + 11, 48, at)
        yield _text(x + 28, 52, name)


def _panel(
    panel: Panel, corner: tuple[int, int], decades: tuple[int, int], names: Sequence[str]
) -> Iterator[str]:
    left, top = corner[0] + LEFT, corner[1] + TOP
    right, bottom = corner[0] + WIDTH - RIGHT, corner[1] + HEIGHT - BOTTOM
    low, high = decades
    sizes = sorted({point.size for line in panel.lines for point in line.points})
    span = max(1, sizes[-1] - sizes[0])

    def place(point: Point) -> tuple[float, float]:
        across = (point.size - sizes[0]) / span
        up = (math.log10(point.seconds) - low) / (high - low)
        return left + across * (right - left), bottom - up * (bottom - top)

    yield _text(left, top - 10, panel.title, bold=True)
    for decade in range(low, high + 1):
        _, y = place(Point(sizes[0], 10.0**decade))
        yield _stroke([(left, y), (right, y)], GRID, 1)
        yield _text(left - 9, y + 4, format_seconds(10.0**decade), anchor="end")
    for size in sizes:
        x, _ = place(Point(size, 10.0**low))
        yield _text(x, bottom + 16, str(size), anchor="middle")
    yield _text((left + right) / 2, bottom + 32, panel.axis, anchor="middle")
    for line in panel.lines:
        at = names.index(line.name)
        placed = [place(point) for point in line.points]
        yield _stroke(placed, COLOURS[at % len(COLOURS)])
        for (x, y), point in zip(placed, line.points, strict=True):
            yield _mark(x, y, at, hollow=not point.finished)


def _mark(x: float, y: float, at: int, *, hollow: bool = False) -> str:
    """A point of the line that has so many before it; a hollow one hides nothing behind it."""
    colour, corners = COLOURS[at % len(COLOURS)], CORNERS[at % len(CORNERS)]
    angles = [2 * math.pi * corner / corners for corner in range(corners)]
    points = " ".join(f"{x + 4.5 * math.sin(a):.1f},{y - 4.5 * math.cos(a):.1f}" for a in angles)
    fill = "none" if hollow else colour
    return f'  <polygon points="{points}" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>'


def _stroke(points: Sequence[tuple[float, float]], colour: str, width: float = 2) -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'  <polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def _text(
    x: float, y: float, text: str, *, size: int = 12, bold: bool = False, anchor: str = "start"
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'  <text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{INK}"{weight}>{escape(text)}</text>'
    )
