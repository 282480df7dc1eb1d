"""Charts of bars as SVG: rows of coloured parts on one scale, for light and dark pages.

Text stays text. The standard library writes the XML, so that names of any kind are escaped.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.etree import ElementTree as ET

from hgx.cli.render.console import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

WIDTH: Final = 960
MARGIN: Final = 24
BAR: Final = 20
LINE: Final = 20
GAP: Final = 12
"""Pixels: of the page, around it, a bar's height, a line of text, and between rows."""

INNER: Final = WIDTH - 2 * MARGIN

LETTER: Final = 7.4
SMALL_LETTER: Final = 6.4
"""Pixels that a letter takes at most on average, at 13 and at 11 pixels: to keep texts apart."""

SHORTEST_NAME: Final = 16
"""Letters of a name that are shown at least; the whole of it is in the tooltip."""

_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1b1f24; }
.heading { font-weight: 600; }
.quiet { fill: #57606a; }
.inside { fill: #101418; font-size: 11px; }
.faint { fill: #57606a; font-size: 11px; }
.page { fill: #ffffff; }
.rest { fill: #dde3ea; }
.grid { stroke: #d0d7de; stroke-width: 1; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.quiet { fill: #9198a1; }
.inside { fill: #101418; }
.faint { fill: #9198a1; }
.page { fill: #0d1117; }
.rest { fill: #2a313c; }
.grid { stroke: #3d444d; }
}
"""


class Part(NamedTuple):
    """A coloured part of a row.

    Attributes:
        kind: What it stands for; a key of the chart's colours.
        start: Where it begins, in the chart's unit.
        size: How long it is.
        text: What it is, in words.
    """

    kind: str
    start: float
    size: float
    text: str


class Row(NamedTuple):
    """A row: what it is of, a figure at the right, and its parts from left to right."""

    name: str
    note: str
    figure: str
    parts: tuple[Part, ...]


class Chart(NamedTuple):
    """Rows on one scale.

    Attributes:
        heading: Above it.
        rows: From top to bottom.
        whole: What the full width stands for, above 0.
        colours: Per kind of part, its CSS colour or the class ``rest``; in the legend's order.
        tick: Writes a mark of the scale; null for a chart without one.
    """

    heading: str
    rows: Sequence[Row]
    whole: float
    colours: Mapping[str, str]
    tick: Callable[[float], str] | None = None


def draw(title: str, lines: Iterable[str], charts: Iterable[Chart], notes: Iterable[str]) -> str:
    """Draw charts below each other.

    Args:
        title: Of the page.
        lines: Below the title.
        charts: From top to bottom.
        notes: Below the charts.

    Returns:
        An SVG document.
    """
    page = _Page(title)
    for line in lines:
        page.text(line, "quiet")
    for chart in charts:
        _draw_chart(page, chart)
    page.y += GAP
    for note in notes:
        page.text(note, "quiet")
    return page.document()


def shorten(words: str, most: int) -> str:
    """Cut words to so many letters at most."""
    return words if len(words) <= most else words[: most - 1] + "…"


class _Page:
    """A page that is filled from the top.

    Attributes:
        y: How far it is filled, in pixels.
    """

    def __init__(self, title: str) -> None:
        self._root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
        ET.SubElement(self._root, "title").text = plain(title)
        ET.SubElement(self._root, "style").text = _STYLE
        self._ground = ET.SubElement(self._root, "rect", {"class": "page", "width": "100%"})
        self.y = float(MARGIN)
        self.text(title, "heading")

    def text(self, words: str, style: str) -> None:
        """Write a line at the left, cut where the page ends."""
        self.words(shorten(plain(words), int(INNER / LETTER)), MARGIN, style)
        self.y += LINE

    def words(self, words: str, x: float, style: str, anchor: str = "start") -> ET.Element:
        """Write words on the current line, and stay there."""
        return self._element(
            "text",
            {"x": _px(x), "y": _px(self.y + 14), "class": style, "text-anchor": anchor},
            words,
        )

    def bar(self, x: float, width: float, colour: str, tip: str) -> None:
        """Draw a bar at the current height, with a tooltip."""
        look = {"class": colour} if colour == "rest" else {"fill": colour}
        place = {"x": _px(x), "y": _px(self.y), "width": _px(width), "height": _px(BAR)}
        bar = self._element("rect", place | look)
        ET.SubElement(bar, "title").text = plain(tip)

    def swatch(self, x: float, colour: str) -> None:
        """Draw a colour of a legend."""
        look = {"class": colour} if colour == "rest" else {"fill": colour}
        self._element(
            "rect", {"x": _px(x), "y": _px(self.y + 4), "width": "11", "height": "11"} | look
        )

    def line(self, x: float) -> None:
        """Draw a line as high as a bar at the current height."""
        place = {"x1": _px(x), "x2": _px(x), "y1": _px(self.y), "y2": _px(self.y + BAR)}
        self._element("line", place | {"class": "grid"})

    def document(self) -> str:
        """Close the page and write it out."""
        height = _px(self.y + MARGIN)
        self._root.set("viewBox", f"0 0 {WIDTH} {height}")
        self._root.set("width", str(WIDTH))
        self._root.set("height", height)
        self._ground.set("height", "100%")
        ET.indent(self._root)
        return ET.tostring(self._root, encoding="unicode") + "\n"

    def _element(
        self, tag: str, attributes: dict[str, str], words: str | None = None
    ) -> ET.Element:
        element = ET.SubElement(self._root, tag, attributes)
        element.text = None if words is None else plain(words)
        return element


def _draw_chart(page: _Page, chart: Chart) -> None:
    page.y += GAP
    page.text(chart.heading, "heading")
    _legend(page, chart)
    if chart.tick is not None:
        _draw_scale(page, chart, chart.tick)
    for row in chart.rows:
        _draw_row(page, chart, row)
    page.y += LINE if chart.tick is not None else 0


def _draw_scale(page: _Page, chart: Chart, tick: Callable[[float], str]) -> None:
    """Draw the marks that are behind the bars, and what they stand for below them."""
    top = page.y
    marks = [(mark, _at(mark, chart)) for mark in _marks(chart.whole)]
    for _ in chart.rows:
        page.y += LINE
        for _, x in marks:
            page.line(x)
        page.y += BAR + GAP
    for mark, x in marks:
        anchor = "start" if not mark else "end" if x > WIDTH - 4 * MARGIN else "middle"
        page.words(tick(mark), x, "quiet", anchor)
    page.y = top


def _legend(page: _Page, chart: Chart) -> None:
    """Name the colours that the chart has; a new line begins where one is full."""
    present = {part.kind for row in chart.rows for part in row.parts}
    x = float(MARGIN)
    for kind, colour in chart.colours.items():
        if kind not in present:
            continue
        width = 18 + LETTER * len(kind) + GAP
        if x + width > WIDTH - MARGIN:
            x = float(MARGIN)
            page.y += LINE
        page.swatch(x, colour)
        page.words(kind, x + 16, "quiet")
        x += width
    page.y += LINE + GAP / 2


def _draw_row(page: _Page, chart: Chart, row: Row) -> None:
    name = plain(row.name)
    room = int(INNER / LETTER) - len(row.note) - len(row.figure) - 8
    shown = _without_middle(name, max(SHORTEST_NAME, room))
    words = page.words(" · ".join(filter(None, (shown, row.note))), MARGIN, "name")
    if shown != name:
        ET.SubElement(words, "title").text = name
    page.words(row.figure, WIDTH - MARGIN, "quiet", "end")
    page.y += LINE
    for part in row.parts:
        x, end = _at(part.start, chart), _at(part.start + part.size, chart)
        page.bar(x, end - x, chart.colours[part.kind], f"{name}: {part.text}")
        if end - x > SMALL_LETTER * (len(part.text) + 1):
            style = "faint" if chart.colours[part.kind] == "rest" else "inside"
            page.words(part.text, x + 5, style)
    page.y += BAR + GAP


def _without_middle(name: str, most: int) -> str:
    """Cut a name to so many letters at most; both ends stay, as devices differ at the end."""
    if len(name) <= most:
        return name
    tail = most // 2
    return name[: most - tail - 1] + "…" + name[-tail:]


def _at(value: float, chart: Chart) -> float:
    return MARGIN + INNER * value / chart.whole


def _marks(whole: float) -> Iterable[float]:
    """Round numbers from 0 on, about six of them."""
    rough = whole / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * power for unit in (1, 2, 5, 10) if unit * power >= rough)
    return (step * count for count in range(math.floor(whole / step) + 1))


def _px(value: float) -> str:
    """Write pixels; a hundredth of one is enough."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
