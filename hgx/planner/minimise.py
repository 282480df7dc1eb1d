"""The objective of one arrangement made as small as possible, with proof where time allows.

First come prices, whose bound is near the optimum (``hgx.planner.paths``), then searches of growing
width among the stages that may still be part of something better (``hgx.planner.search``): a narrow
one finds a good answer, the next ones prove it. Where nothing but the slowest stage counts and
every device has a memory of its own, ``hgx.planner.reach`` is quicker. Where there are too many
sets of devices to try them all, a local search improves the answer, and the bound is that of the
rosters.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.arcs import Arcs
from hgx.planner.bound import lower_bound
from hgx.planner.constraints import device_limits
from hgx.planner.fleet import descend, search_around
from hgx.planner.graph import build_graph
from hgx.planner.paths import Span, path_bound
from hgx.planner.reach import FEW_ROUNDS, MANY_ROUNDS, Slowest
from hgx.planner.reporter import Silent
from hgx.planner.roster import roster_bound
from hgx.planner.search import WORTHWHILE, Found, Run, Search
from hgx.planner.sharing import Shared, named, share_memories
from hgx.planner.tables import build_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hgx.planner.paths import PathBound
    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem
    from hgx.planner.reporter import Reporter
    from hgx.planner.tables import Tables

    Prove = Callable[[PathBound, PathBound], float]

WIDTHS = (256, 4096, 65536, 1 << 20)
"""Labels kept per layer: a narrow search finds a good answer, a wide one proves it."""

SETS_WIDTH = 16384
"""Sets of devices kept per layer of the search for the slowest stage."""

BEAMS = (16, 128, 1024)
"""Widths of either search where a proof is out of reach."""

MOST_SETS = 1 << 14
"""Sets of devices up to which a search may try them all."""

ROUNDS = 8
"""Local searches for a better answer, where some time is to be left for a better bound."""

FLOOR_STEPS = 20
"""Steps towards a first bound on the slowest stage."""

NARROW = 1.05
"""How far apart the ends of a span are that is not worth dividing."""

NEARLY = 0.5
"""Part of the gap that a search must have closed for a wider one of the same."""

GAINED = 0.2
"""Part of the gap that dividing a span must close for a search of it."""

FLAT = 0.7
"""No part of a span reaches farther down or up, where that can be avoided."""


class Outcome(NamedTuple):
    """What is known at the end.

    Attributes:
        objective: Seconds of the best placement found; infinite when none beats the target.
        placement: That placement, or nothing.
        bound: No placement has an objective below ``min(bound, objective, target)``.
        states: Search states opened.
    """

    objective: float
    placement: Placement
    bound: float
    states: int


class Minimiser:
    """The search for the least objective.

    Args:
        problem: The problem; more than one device may take part.
        target: Objective to beat, in seconds; infinite when none is known.
        expired: Returns whether to stop.
        reporter: Watches the searches.
        known: A placement with the target as its objective, where there is one.
    """

    def __init__(
        self,
        problem: Problem,
        target: float,
        expired: Callable[[], bool],
        reporter: Reporter | None,
        known: Placement = (),
    ) -> None:
        self._problem = problem
        shared = tuple(pool for pool in problem.pools if len(pool.devices) > 1)
        self._tables = build_tables(problem, device_limits(problem), shared)
        self._known = known
        self._expired = expired
        self._reporter = reporter
        self._best = Found(target, (), 0.0, 0)

    def run(self) -> Outcome:
        """Look for prices, search, and search wider."""
        tables = self._tables
        if not tables.classes:
            return Outcome(np.inf, (), np.inf, 0)
        if not self._expired():
            if tables.bottleneck and _shrinks(tables):
                return self._slowest()
            self._cheapest()
        objective, runs, bound, states = self._best
        placement = named(tables, runs)
        return Outcome(objective if runs else np.inf, placement, min(bound, objective), states)

    def _slowest(self) -> Outcome:
        """Make the slowest stage as fast as possible."""
        target = self._best.objective
        if len(self._tables.pools):
            found = share_memories(
                self._problem, target, self._quickest, self._narrowly, self._expired
            )
            return Outcome(*found)
        found = self._quickest(self._tables, target, 0.0)
        return Outcome(found.objective, named(self._tables, found.runs), found.bound, found.states)

    def _quickest(self, tables: Tables, target: float, floor: float) -> Found:
        """Make the slowest stage as fast as possible, where no memory is shared."""
        floor = max(floor, lower_bound(tables, target, FLOOR_STEPS).root())
        search = Slowest(tables, self._expired, self._reporter or Silent())
        if tables.sets > MOST_SETS:
            return search.run(target, floor, BEAMS, MANY_ROUNDS)
        return search.run(target, floor, (SETS_WIDTH,), FEW_ROUNDS)

    def _narrowly(self) -> Shared:
        """Search all stages, memories and all, as long as that is quick."""
        arcs = Arcs(self._tables)
        bound = path_bound(self._tables, arcs, self._best.objective, self._expired)
        self._prove(bound.root())
        self._search(arcs, bound, WIDTHS[:2])
        objective, runs, proven, states = self._best
        return Shared(objective, named(self._tables, runs), proven, states)

    def _cheapest(self) -> None:
        """Make sum and slowest stage together as small as possible."""
        tables = self._tables
        arcs = Arcs(tables)
        target = self._best.objective
        bound = path_bound(tables, arcs, target, self._expired)
        self._prove(bound.root())
        if tables.sets > MOST_SETS:
            self._search(arcs, bound, BEAMS[:1])
            if not (tables.constrained or len(tables.pools)):
                self._polish(arcs, bound)
        self._search(arcs, bound, WIDTHS[:1])
        self._search(arcs, bound, WIDTHS[1:2])
        done = self._best.bound - bound.root()
        if done > NEARLY * (self._best.objective - bound.root()):
            self._search(arcs, bound, WIDTHS[2:3])
        if tables.peaked and not tables.bottleneck:
            self._divide(
                arcs,
                bound,
                lambda part, whole: self._searched(arcs, part, self._worth(part, whole)),
            )
        self._search(arcs, bound, WIDTHS[2:])

    def _divide(self, arcs: Arcs, bound: PathBound, prove: Prove) -> None:
        """Prove something of placements apart whose slowest stages take differently long.

        Prices that are made for one span of seconds have a better bound than those for all, and
        what is left to search is so much less that it pays to look for them.
        """
        number, target = count(), self._best.objective
        if not np.isfinite(target):
            return
        # What is better than the target has no slower stage than that.
        left = [(self._best.bound, next(number), bound._replace(span=Span(0.0, target)))]
        while left and not self._proven() and not self._expired():
            _, _, whole = heappop(left)
            for span in _halves(whole.span, self._slowest_seconds(arcs)):
                part = path_bound(self._tables, arcs, target, self._expired, span=span, like=whole)
                proven = max(whole.root(), prove(part, whole))
                if proven < self._best.objective * (1 - WORTHWHILE):
                    heappush(left, (proven, next(number), part))
            self._prove(min((entry[0] for entry in left), default=self._best.objective))

    def _worth(self, part: PathBound, whole: PathBound) -> Sequence[int]:
        """Widths of searches of a part: none where dividing it promises more."""
        if part.span.high <= NARROW * part.span.low:
            return WIDTHS[2:]
        gap = self._best.objective - whole.root()
        return WIDTHS[1:2] if part.root() - whole.root() > GAINED * gap else ()

    def _search(self, arcs: Arcs, bound: PathBound, widths: Iterable[int]) -> None:
        """Search with growing width, until the best is proven or time is up."""
        if not self._proven():
            self._prove(self._searched(arcs, bound, widths))

    def _searched(self, arcs: Arcs, bound: PathBound, widths: Iterable[int]) -> float:
        """Search with growing width what a bound is for; return what is proven of that."""
        proven = bound.root()
        for width in widths:
            if proven >= self._best.objective * (1 - WORTHWHILE) or self._expired():
                break
            graph = build_graph(arcs, bound, self._best.objective - bound.root())
            search = Search(self._tables, bound, graph, self._expired, self._reporter)
            found = search.run(self._best.objective, width)
            self._take(found._replace(bound=0.0))
            proven = max(proven, found.bound)
        return min(proven, self._best.objective)

    def _slowest_seconds(self, arcs: Arcs) -> float:
        """What the slowest stage of the best placement takes."""
        runs = self._best.runs or self._known_runs()
        return arcs.seconds(runs)[1] if runs else np.inf

    def _polish(self, arcs: Arcs, bound: PathBound) -> None:
        """Where there are too many sets of devices: a better bound, and a better answer."""
        runs = self._best.runs or self._known_runs()
        if not runs or self._proven():
            return

        self._take(descend(arcs, runs, self._expired))
        rosters = roster_bound(arcs, bound, self._best.objective, self._expired)
        self._prove(rosters.seconds)
        answers = search_around(
            arcs, self._best.runs or runs, rosters.slow, rosters.seconds, self._expired
        )
        for found in islice(answers, ROUNDS if self._tables.peaked else None):
            self._take(found)
        if self._tables.peaked:
            target = self._best.objective
            self._divide(
                arcs,
                bound,
                lambda part, _: roster_bound(arcs, part, target, self._expired).seconds,
            )

    def _take(self, found: Found) -> None:
        """Keep what is better, and what is proven."""
        best = self._best
        if found.objective < best.objective * (1 - WORTHWHILE):
            best = best._replace(objective=found.objective, runs=found.runs)
        self._best = best._replace(
            bound=max(best.bound, found.bound), states=best.states + found.states
        )

    def _prove(self, bound: float) -> None:
        self._best = self._best._replace(bound=max(self._best.bound, bound))

    def _proven(self) -> bool:
        return self._best.bound >= self._best.objective * (1 - WORTHWHILE)

    def _known_runs(self) -> tuple[Run, ...]:
        """What was known before as runs of classes."""
        classes = self._tables.classes
        of_device = {name: at for at, one in enumerate(classes) for name in one.devices}
        return tuple(Run(of_device[name], a, b + 1) for name, a, b in self._known)


def _halves(span: Span, slowest: float) -> tuple[Span, Span]:
    """Divide a finite span where the best known is in it, or else in its middle."""
    middle = slowest
    if not span.low < middle < span.high:
        middle = float(np.sqrt(max(span.low, FLAT * FLAT * span.high) * span.high))
        if span.low > 0:
            middle = min(middle, span.low / FLAT)
    return Span(span.low, middle), Span(middle, span.high)


def _shrinks(tables: Tables) -> bool:
    """Whether no stage needs more room for having fewer blocks, which some models' stages do."""
    (inner, last), n = tables.classes[0].stage_bytes, tables.n_block
    begin, end = np.arange(n)[:, None], np.arange(n)
    shorter = inner[:n, 1:n] <= inner[:n, 2:] if n > 1 else inner[:n, 1:n] <= 0
    later = inner[1:n, :n] <= inner[: n - 1, :n]
    return bool(
        (shorter | (begin >= end[1:])).all()
        and (later | (begin[1:] >= end)).all()
        and (last[1:n] <= last[: n - 1]).all()
    )
