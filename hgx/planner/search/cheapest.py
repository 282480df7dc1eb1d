"""Sum and slowest stage together made as small as possible, where sets of devices can be searched.

First come prices, whose bound is near the optimum, then searches of growing width among the stages
that may still be part of something better: a narrow one finds a good answer, the next ones prove
it. Where the slowest stage counts besides the sum and they do not, spans of its seconds are
searched apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.planner.search.graph import build_graph
from hgx.planner.search.labels import Search
from hgx.planner.search.spans import divide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hgx.planner.arcs import Arcs
    from hgx.planner.search.paths import PathBound
    from hgx.planner.search.reporter import Reporter
    from hgx.planner.search.standing import Standing

WIDTHS = (256, 4096, 65536, 1 << 20)
"""Labels kept per layer, from one search to the next."""

NEARLY = 0.5
"""Part of the gap that a search must have closed for a wider one of the same to come before any
division."""

NARROW = 1.05
"""How far apart the ends of a span are that is not worth dividing."""

GAINED = 0.2
"""Part of the gap that dividing a span must close for a search of it."""


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

    def begin(self, bound: PathBound, widths: Iterable[int] = WIDTHS[:2]) -> None:
        """Search as long as that is quick."""
        for width in widths:
            if not self._standing.proven:
                self._standing.prove(self._search(bound, (width,)))

    def finish(self, bound: PathBound) -> None:
        """Search until the best is proven, or time is up."""
        standing, tables = self._standing, self._arcs.tables
        closed = standing.bound - bound.root()
        if closed > NEARLY * (standing.objective - bound.root()):
            self.begin(bound, WIDTHS[2:3])
        if tables.peaked and not tables.bottleneck:
            divide(self._arcs, standing, bound, self._prove, self._expired)
        self.begin(bound, WIDTHS[2:])

    def _prove(self, part: PathBound, whole: PathBound) -> float:
        return self._search(part, self._worth(part, whole))

    def _worth(self, part: PathBound, whole: PathBound) -> Sequence[int]:
        """Widths of searches of a part: none where dividing it promises more."""
        if part.span.high <= NARROW * part.span.low:
            return WIDTHS[2:]
        gap = self._standing.objective - whole.root()
        return WIDTHS[1:2] if part.root() - whole.root() > GAINED * gap else ()

    def _search(self, bound: PathBound, widths: Iterable[int]) -> float:
        """Search with growing width what a bound is for; return what is proven of that."""
        standing, proven = self._standing, bound.root()
        for width in widths:
            if standing.beaten_by(proven) or self._expired():
                break
            graph = build_graph(self._arcs, bound, standing.objective - bound.root())
            search = Search(self._arcs.tables, bound, graph, self._expired, self._reporter)
            found = search.run(standing.objective, width)
            proven = max(proven, found.bound)
            if found.runs:
                # A path may have left a node over the wire and entered it again.
                found = found._replace(objective=sum(self._arcs.seconds(found.runs)))
            standing.take(found)
        return proven
