"""Curves over time as SVG: a panel below the other on one scale of time, for light and dark pages.

Text stays text. The standard library writes the XML, so that names of any kind are escaped.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.etree import ElementTree as ET

from hgx.cli.render.console import plain
from hgx.cli.render.svg import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH: Final = 960
LEFT: Final = 64
RIGHT: Final = 24
TOP: Final = 56
"""Pixels around the panels."""

LETTER: Final = 8.4
"""Pixels that a letter of a heading takes at most on average."""

GAP: Final = 44
MOST_POINTS: Final = 1500
"""Of a curve: more than a page has pixels."""

COLOURS: Final = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
"""Of the curves of a panel, in their order; told apart by those who see no red or green, too, as
the second is dashed."""

_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1b1f24; }
.heading { font-weight: 600; }
.quiet { fill: #57606a; font-size: 11px; }
.page { fill: #ffffff; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.curve { fill: none; stroke-width: 1.5; }
.span { stroke: none; fill-opacity: 0.2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.quiet { fill: #9198a1; }
.page { fill: #0d1117; }
.grid { stroke: #3d444d; }
.span { fill-opacity: 0.4; }
}
"""


class Curve(NamedTuple):
    """A line through points, or a band between two lines.

    Attributes:
        name: In the legend.
        time_s: Rising.
        values: As many; what is no finite number is a gap.
        upper: The upper edge of a band above ``values``; null for a line.
    """

    name: str
    time_s: Sequence[float]
    values: Sequence[float]
    upper: Sequence[float] | None = None


class Panel(NamedTuple):
    """Curves on one scale.

    Attributes:
        heading: With the unit.
        curves: Drawn one over the other.
        height: In pixels.
        low: The least of the scale; null for that of the curves.
        high: The most of it, likewise.
    """

    heading: str
    curves: Sequence[Curve]
    height: int = 240
    low: float | None = None
    high: float | None = None


def draw_curves(title: str, panels: Sequence[Panel]) -> str:
    """Draw panels below each other.

    Args:
        title: Of the page.
        panels: From top to bottom, each with at least one curve with a point.

    Returns:
        An SVG document.
    """
    height = TOP + sum(panel.height + GAP for panel in panels)
    size = {"viewBox": f"0 0 {WIDTH} {height}", "width": str(WIDTH), "height": str(height)}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    ET.SubElement(root, "title").text = plain(title)
    ET.SubElement(root, "style").text = _STYLE
    ET.SubElement(root, "rect", {"class": "page", "width": "100%", "height": "100%"})
    _write(root, shorten(plain(title), int((WIDTH - 32) / LETTER)), (16, 22), "heading")
    end_s = max(curve.time_s[-1] for panel in panels for curve in panel.curves)
    top = TOP
    for panel in panels:
        _Plot(root, panel, top, end_s).draw()
        top += panel.height + GAP
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


class _Plot:
    """One panel at its place."""

    def __init__(self, root: ET.Element, panel: Panel, top: int, end_s: float) -> None:
        self._root = root
        self._panel = panel
        self._top = top
        self._end_s = end_s or 1.0
        values = [value for curve in panel.curves for value in _finite(curve)]
        low = min(values, default=0.0) if panel.low is None else panel.low
        high = max(values, default=1.0) if panel.high is None else panel.high
        self._low, self._high = low, high if high > low else low + 1.0

    def draw(self) -> None:
        """Draw scale, legend and curves."""
        self._scales()
        x = float(LEFT)
        _write(self._root, self._panel.heading, (x, self._top - 8), "heading")
        x += LETTER * len(self._panel.heading) + 24
        for number, curve in enumerate(self._panel.curves):
            self._sample(x, _look(curve, number))
            _write(self._root, curve.name, (x + 28, self._top - 8), "quiet")
            x += 7.0 * len(curve.name) + 52
        bands_first = sorted(enumerate(self._panel.curves), key=lambda it: it[1].upper is None)
        for number, curve in bands_first:
            self._curve(curve, _look(curve, number))

    def _sample(self, x: float, look: dict[str, str]) -> None:
        """Draw a short piece of a curve, for the legend."""
        if look["class"] == "span":
            place = {"x": _px(x), "y": _px(self._top - 18), "width": "22", "height": "11"}
            ET.SubElement(self._root, "rect", place | look)
            return
        y = _px(self._top - 12.5)
        ET.SubElement(
            self._root, "line", {"x1": _px(x), "x2": _px(x + 22), "y1": y, "y2": y} | look
        )

    def _scales(self) -> None:
        bottom = self._top + self._panel.height
        for mark in _marks(self._low, self._high):
            y = self._y(mark)
            ends = {"x1": _px(LEFT), "x2": _px(WIDTH - RIGHT), "y1": _px(y), "y2": _px(y)}
            ET.SubElement(self._root, "line", {"class": "grid", **ends})
            _write(self._root, f"{mark:g}", (LEFT - 8, y + 4), "quiet", "end")
        unit_s, unit = _unit(self._end_s)
        for mark in _marks(0.0, self._end_s / unit_s):
            x = self._x(mark * unit_s)
            ends = {"x1": _px(x), "x2": _px(x), "y1": _px(self._top), "y2": _px(bottom)}
            ET.SubElement(self._root, "line", {"class": "grid", **ends})
            _write(self._root, f"{mark:g} {unit}", (x, bottom + 16), "quiet", "middle")

    def _curve(self, curve: Curve, look: dict[str, str]) -> None:
        every = max(1, len(curve.time_s) // MOST_POINTS)
        where = range(0, len(curve.time_s), every)
        line = [(curve.time_s[at], curve.values[at]) for at in where]
        if curve.upper is not None:
            upper = curve.upper
            back = [(curve.time_s[at], upper[at]) for at in reversed(where)]
            if all(math.isfinite(value) for _, value in line + back):
                ET.SubElement(self._root, "polygon", look | {"points": self._points(line + back)})
            return
        for part in _without_gaps(line):
            ET.SubElement(self._root, "polyline", look | {"points": self._points(part)})

    def _points(self, line: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{_px(self._x(time_s))},{_px(self._y(value))}" for time_s, value in line)

    def _x(self, time_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * time_s / self._end_s

    def _y(self, value: float) -> float:
        share = (min(max(value, self._low), self._high) - self._low) / (self._high - self._low)
        return self._top + self._panel.height * (1 - share)


def _write(
    root: ET.Element, words: str, at: tuple[float, float], style: str, anchor: str = "start"
) -> None:
    """Write words at a place, in pixels from the left and from the top."""
    place = {"x": _px(at[0]), "y": _px(at[1]), "class": style, "text-anchor": anchor}
    ET.SubElement(root, "text", place).text = plain(words)


def _look(curve: Curve, number: int) -> dict[str, str]:
    """How a curve is drawn that has so many before it."""
    colour = COLOURS[number % len(COLOURS)]
    if curve.upper is not None:
        return {"class": "span", "fill": colour}
    dashes = {"stroke-dasharray": "6 4"} if number == 1 else {}
    return {"class": "curve", "stroke": colour} | dashes


def _unit(end_s: float) -> tuple[float, str]:
    """Return seconds of the unit of a scale of time, and its sign."""
    units = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
    return next((unit for unit in units if end_s >= 3 * unit[0]), (1.0, "s"))


def _finite(curve: Curve) -> Iterator[float]:
    for value in (*curve.values, *(curve.upper or ())):
        if math.isfinite(value):
            yield value


def _without_gaps(line: Sequence[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    part: list[tuple[float, float]] = []
    for point in line:
        if math.isfinite(point[1]):
            part.append(point)
        elif part:
            yield part
            part = []
    if part:
        yield part


def _marks(low: float, high: float) -> Iterator[float]:
    """Round numbers between two, about six of them."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * power for unit in (1, 2, 5, 10) if unit * power >= rough * (1 - 1e-9))
    for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield count * step


def _px(value: float) -> str:
    """Write pixels; a hundredth of one is enough."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
