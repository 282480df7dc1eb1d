"""Drawings read back: which boxes they have, and which of them lie on each other."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

SVG = "{http://www.w3.org/2000/svg}"
LETTER, ASCENT, DESCENT = 6.6, 10, 3
"""Pixels of a letter of 13 pixels, as a browser draws it on average."""
TOUCHING = 0.02
"""Pixels by which rounded coordinates may overlap."""


class Box(NamedTuple):
    """A box on the page, in pixels."""

    left: float
    top: float
    right: float
    bottom: float
    what: str


def elements(root: Element, tag: str) -> list[Element]:
    """All elements of a kind."""
    return list(root.iter(SVG + tag))


def texts(root: Element) -> list[str]:
    """All texts, tooltips too."""
    return [one.text or "" for tag in ("text", "title") for one in elements(root, tag)]


def boxes(root: Element) -> tuple[list[Box], list[Box]]:
    """Bars, and texts by an estimate of their width; neither ground nor swatches."""
    bars = [_bar(one) for one in elements(root, "rect") if one.find(SVG + "title") is not None]
    return bars, [_words(one) for one in elements(root, "text") if (one.text or "").strip()]


def overlapping(some: Sequence[Box]) -> tuple[Box, Box] | None:
    """Two boxes that lie on each other, or null."""
    for one, other in combinations(some, 2):
        across = min(one.right, other.right) - max(one.left, other.left)
        down = min(one.bottom, other.bottom) - max(one.top, other.top)
        if across > TOUCHING and down > TOUCHING:
            return one, other
    return None


def _bar(one: Element) -> Box:
    x, y, width, height = (float(one.attrib[name]) for name in ("x", "y", "width", "height"))
    return Box(x, y, x + width, y + height, one.attrib.get("class", one.attrib.get("fill", "")))


def _words(one: Element) -> Box:
    words = (one.text or "").strip()
    x, y, width = float(one.attrib["x"]), float(one.attrib["y"]), LETTER * len(words)
    left = {"start": x, "middle": x - width / 2, "end": x - width}[one.attrib["text-anchor"]]
    return Box(left, y - ASCENT, left + width, y + DESCENT, words)
