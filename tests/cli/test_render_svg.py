"""Charts of bars as SVG."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from hgx.cli.render.svg import WIDTH, Chart, Part, Row, draw
from hgx.units import format_seconds
from tests.cli.svgs import Box, boxes, elements, overlapping, texts

COLOURS = {"one": "#7aa7e9", "two": "#5cc6ae", "free": "rest"}

ROWS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(list(COLOURS)), st.floats(1e-9, 1e3, allow_subnormal=False)),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=6,
)


def row(name: str, sizes: list[tuple[str, float]], figure: str = "1 of 2") -> Row:
    """A row whose parts follow each other."""
    parts: list[Part] = []
    start = 0.0
    for kind, size in sizes:
        parts.append(Part(kind, start, size, f"{kind} {size:.3g}"))
        start += size
    return Row(name, "a note", figure, tuple(parts))


def chart(*rows: Row, tick: bool = True) -> Chart:
    """A chart that is as wide as its longest row."""
    whole = max(part.start + part.size for one in rows for part in one.parts)
    return Chart("A chart", rows, whole, COLOURS, format_seconds if tick else None)


@given(rows=ROWS, ticks=st.booleans())
def test_nothing_overlaps_or_leaves_the_page(
    rows: list[list[tuple[str, float]]], ticks: bool
) -> None:
    """Bars of a row follow each other, texts do not touch, and all is on the page."""
    made = [row(f"node{at}/cuda:0", sizes) for at, sizes in enumerate(rows)]
    document = draw("A title", ["a line"], [chart(*made, tick=ticks)] * 2, ["a note"])
    root = ET.fromstring(document)  # noqa: S314 - our own
    height = float(root.attrib["height"])
    bars, words = boxes(root)
    assert len(bars) == 2 * sum(map(len, rows))
    for box in (*bars, *words):
        assert box.left >= 0
        assert box.right <= WIDTH
        assert 0 <= box.top < box.bottom <= height
    assert overlapping(bars) is None
    assert overlapping([box for box in words if not inside(box, bars)]) is None


def inside(box: Box, bars: list[Box]) -> bool:
    """Whether a text is on a bar."""
    return any(
        bar.left <= box.left and box.right <= bar.right and bar.top <= box.top <= bar.bottom
        for bar in bars
    )


def test_widths_are_to_scale() -> None:
    """Bars are as long as what they stand for, and begin where the one before ends."""
    document = draw("t", [], [chart(row("n", [("one", 1.0), ("two", 3.0)]))], [])
    bars, _ = boxes(ET.fromstring(document))  # noqa: S314 - our own
    (first, second) = bars
    assert second.left == first.right
    assert abs((second.right - second.left) / (first.right - first.left) - 3) < 0.01


def test_names_are_escaped_and_whole() -> None:
    """Marks of XML and control characters are shown as they are, or by their escapes."""
    name = "<b>&\"'\x1b]\u202e/cuda:0"
    document = draw(name, [name], [chart(row(name, [("one", 1.0)], name))], [name])
    root = ET.fromstring(document)  # noqa: S314 - our own
    shown = "<b>&\"'\\x1b]\\u202e/cuda:0"
    assert sum(shown in text for text in texts(root)) >= 5
    assert "\x1b" not in document
    assert not elements(root, "b")


def test_a_long_name_is_cut_but_there() -> None:
    """It does not run into the figure at the right; the tooltip has all of it."""
    name = "n" * 200 + "/cuda:0"
    made = row(name, [("one", 1.0)], "36.8 GiB of 19.5 GiB")._replace(note="a long note " * 5)
    root = ET.fromstring(draw("t", [], [chart(made)], []))  # noqa: S314 - our own
    assert any(text == name for text in texts(root))
    _, words = boxes(root)
    assert any(one.what.startswith("nnn") and "…nnn" in one.what for one in words)
    assert any("/cuda:0 · a long note" in one.what for one in words)
    assert overlapping(words) is None


def test_a_long_legend_has_several_lines() -> None:
    """Names of colours do not leave the page."""
    colours = {f"what takes time, number {at}": "#7aa7e9" for at in range(9)}
    parts = tuple(Part(kind, at, 1.0, kind) for at, kind in enumerate(colours))
    document = draw("t", [], [Chart("h", [Row("n", "", "f", parts)], 9.0, colours)], [])
    _, words = boxes(ET.fromstring(document))  # noqa: S314 - our own
    assert max(box.right for box in words) <= WIDTH
    assert overlapping([box for box in words if box.bottom < 150]) is None


def test_it_is_for_light_and_dark_pages() -> None:
    """The style has both, and ground and text change together."""
    document = draw("t", [], [chart(row("n", [("free", 1.0)]))], [])
    light, _, dark = document.partition("@media (prefers-color-scheme: dark)")
    for part in (light, dark):
        for rule in ("text {", ".page {", ".rest {", ".grid {", ".quiet {", ".faint {"):
            assert rule in part
