"""Curves as SVG."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pytest

from hgx.cli.render.curves import MOST_POINTS, Curve, Panel, draw_curves
from tests.cli.svgs import SVG

TIMES = [0.0, 10.0, 20.0, 30.0]
SAMPLES = {"line", "rect"}
"""Shapes of the legend."""


def drawn(*curves: Curve, title: str = "t", low: float | None = None) -> ET.Element:
    """Draw one panel."""
    return ET.fromstring(draw_curves(title, [Panel("°C", curves, low=low)]))  # noqa: S314 - ours


def shapes(root: ET.Element, tag: str) -> list[list[tuple[float, float]]]:
    """Return the points of all lines or bands."""
    found = [element.get("points", "") for element in root.iter() if element.tag.endswith(tag)]
    return [
        [(float(x), float(y)) for x, _, y in (point.partition(",") for point in line.split())]
        for line in found
    ]


def test_a_line_goes_up_where_values_do() -> None:
    """Later is further right, more is higher up, and all of it is within the page."""
    ((first, *_, last),) = shapes(drawn(Curve("a", TIMES, [1.0, 2.0, 3.0, 4.0])), "polyline")
    assert first[0] < last[0] <= 960
    assert first[1] > last[1] > 0


def test_gaps_and_bands() -> None:
    """What is not known is a gap in a line; a band is one shape, and none where it is not known."""
    gap = Curve("a", TIMES, [1.0, math.nan, 3.0, 4.0])
    assert [len(line) for line in shapes(drawn(gap), "polyline")] == [1, 2]
    band = Curve("b", TIMES, [1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0])
    assert [len(shape) for shape in shapes(drawn(band), "polygon")] == [8]
    unknown = band._replace(upper=[2.0, math.inf, 2.0, 2.0])
    assert shapes(drawn(gap, unknown), "polygon") == []


def test_the_legend_shows_what_is_drawn() -> None:
    """A line, a dashed one, and a band that lies behind both."""
    band = Curve("c", TIMES, [1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0])
    root = drawn(Curve("a", TIMES, TIMES), Curve("b", TIMES, TIMES), band)
    looks = [
        (one.get("class"), one.get("stroke-dasharray"), one.tag.removeprefix(SVG)) for one in root
    ]
    samples = [look for look in looks if look[0] in {"curve", "span"} and look[2] in SAMPLES]
    assert samples == [("curve", None, "line"), ("curve", "6 4", "line"), ("span", None, "rect")]
    order = [look[2] for look in looks if look[2] in {"polygon", "polyline"}]
    assert order == ["polygon", "polyline", "polyline"]


@pytest.mark.parametrize(
    ("end_s", "last"), [(100.0, "100 s"), (600.0, "10 min"), (36000.0, "10 h"), (864000.0, "10 d")]
)
def test_time_has_a_unit_that_fits(end_s: float, last: str) -> None:
    """Seconds, minutes, hours or days; the last mark is where the curve ends."""
    root = drawn(Curve("a", [0.0, end_s], [1.0, 2.0]))
    (mark,) = [one for one in root if one.text == last]
    ((_, (end, _)),) = shapes(root, "polyline")
    assert float(mark.get("x", "")) == end


def test_a_long_title_is_cut_but_there() -> None:
    """It does not leave the page; the document's title has all of it."""
    root = drawn(Curve("a", TIMES, TIMES), title="t" * 300)
    whole, shown = [one.text or "" for one in root if (one.text or "").startswith("ttt")]
    assert whole == "t" * 300
    assert len(shown) < 130
    assert shown.endswith("…")


def test_many_points_are_thinned() -> None:
    """A day of samples becomes no more points than a page has pixels, about."""
    count = 10 * MOST_POINTS
    (line,) = shapes(drawn(Curve("a", list(map(float, range(count))), [1.0] * count)), "polyline")
    assert len(line) <= MOST_POINTS + 1


@pytest.mark.parametrize("values", [[5.0] * 4, [math.nan] * 4])
def test_flat_and_unknown(values: list[float]) -> None:
    """A flat line has a scale, and one of nothing has none of its own."""
    assert drawn(Curve("a", TIMES, values)).get("viewBox", "").startswith("0 0 960")


def test_names_are_escaped() -> None:
    """Names are text, whatever is in them."""
    root = drawn(Curve("<b>&", TIMES, TIMES), title="\x1b<script>", low=0.0)
    words = [element.text for element in root.iter()]
    assert "<b>&" in words
    assert r"\x1b<script>" in words
