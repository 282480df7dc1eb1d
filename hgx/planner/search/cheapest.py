"""Sum and slowest stage together made as small as possible.

First come prices, whose bound is near the optimum, then searches among the stages that may still be
part of something better: a narrow one near the bound finds a good answer, wider ones prove it.
Where the slowest stage counts besides the sum, spans of its seconds are searched apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hgx.planner.search.graph import build_graph
from hgx.planner.search.labels import Search
from hgx.planner.search.spans import divide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgx.planner.arcs import Arcs
    from hgx.planner.search.found import Found
    from hgx.planner.search.paths import PathBound
    from hgx.planner.search.reporter import Reporter
    from hgx.planner.search.standing import Standing

FIRST_WIDTH = 64
"""Labels kept per layer of the search for a first answer."""

NEAR: Final = (1.02, 1.08, 1.3)
"""Objectives that it looks for one after the other, as parts of the bound, before any other."""

WIDTHS: Final = (256, 4096, 65536, 1 << 20)
"""Labels kept per layer, from one search of everything to the next."""

NEARLY = 0.5
"""Part of the gap that they must have closed for a wider one to come before any division."""

LADDER: Final = ((64, 0.2), (512, 0.5), (4096, 0.7), (65536, 0.8), (1 << 20, 1.0))
"""Labels kept per layer in a span, from one search to the next, and the part of its gap that must
be closed then for the next one to be worth more than dividing the span."""

NARROW = 1.05
"""How far apart the ends of a span are that is not worth dividing."""


class Cheapest:
    """The searches of one set of stages.

    Args:
        arcs: All stages.
        standing: What is known; it is made better.
        expired: Returns whether to stop.
        reporter: Watches the searches.
    """

    def __init__(
        self,
        arcs: Arcs,
        standing: Standing,
        expired: Callable[[], bool],
        reporter: Reporter | None,
    ) -> None:
        self._arcs = arcs
        self._standing = standing
        self._expired = expired
        self._reporter = reporter

    def start(self, bound: PathBound) -> None:
        """Find a good answer near the bound, where few stages are in question."""
        standing, root = self._standing, bound.root()
        for near in (*(root * part for part in NEAR), standing.objective):
            if standing.proven or self._expired():
                return
            aim = min(standing.objective, near)
            found = self._search(bound, aim, FIRST_WIDTH)
            standing.prove(found.bound)
            if found.runs or aim == standing.objective:
                return

    def begin(self, bound: PathBound, widths: Iterable[int] = WIDTHS[:2]) -> None:
        """Search everything as long as that is quick."""
        for width in widths:
            if self._standing.proven or self._expired():
                return
            self._standing.prove(self._search(bound, self._standing.objective, width).bound)

    def finish(self, bound: PathBound) -> None:
        """Search until the best is proven, or time is up."""
        standing, tables = self._standing, self._arcs.tables
        if tables.peaked and not tables.bottleneck:
            divide(self._arcs, standing, bound, self._prove, self._expired)
        self.begin(bound, WIDTHS[2:])

    def _prove(self, part: PathBound) -> float:
        """Search a span with growing width, as long as that closes enough of its gap."""
        standing, root = self._standing, part.root()
        narrow = part.span.high <= NARROW * part.span.low
        proven = root
        for width, enough in LADDER:
            if standing.beaten_by(proven) or self._expired():
                break
            proven = max(proven, self._search(part, standing.objective, width).bound)
            if not narrow and proven - root < enough * (standing.objective - root):
                break
        return proven

    def _search(self, bound: PathBound, aim: float, width: int) -> Found:
        """Look for something better than an objective, and keep it; the bound is at least its."""
        graph = build_graph(self._arcs, bound, aim - bound.root())
        search = Search(self._arcs.tables, bound, graph, self._expired, self._reporter)
        found = search.run(aim, width)
        if found.runs:
            # A path may have left a node over the wire and entered it again.
            found = found._replace(objective=sum(self._arcs.seconds(found.runs)))
        self._standing.take(found)
        return found
