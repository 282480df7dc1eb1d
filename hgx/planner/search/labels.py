"""The exact search: paths from the first block to the last, most promising first, with dominance.

A *label* is the beginning of a placement: which devices it uses, at which place it is, and what it
costs so far: the sum over its stages, the slowest of them, and what it takes of memories that
several devices share. Its slack is the sum of its edges' reduced costs: whatever it becomes costs
at least the bound of all placements and that slack. Of two labels at one place with the same
devices one is dropped if it is no better in anything, since whatever follows it can follow the
other. Labels whose slack reaches the gap between bound and incumbent are dropped too; so the search
is as small as the bound is good.

Where the slowest stage's seconds count, every device pays its share of it at least for the slowest
stage so far, whatever its own stage takes: what is missing to that raises the slack as well.

Shared memories are kept account of in ``hgx.planner.search.memory``.

Layers, one per number of stages, may be cut to a width. Then the least slack of what was cut is
what remains proven, and a wider search may prove more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.keys import key_weights
from hgx.planner.search.beginnings import Labels, joined, undominated
from hgx.planner.search.found import WORTHWHILE, Found, Run
from hgx.planner.search.memory import Memory
from hgx.planner.search.reporter import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hgx.planner.search.graph import Graph
    from hgx.planner.search.paths import PathBound
    from hgx.planner.search.reporter import Reporter
    from hgx.planner.tables import Tables

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

AT_ONCE = 1 << 18
"""Labels that are made at once: a few arrays of 2 MiB."""

AMPLE = 32
"""Labels that are made of some at once, for every one that is kept in the end."""


class _Goal(NamedTuple):
    """A complete placement: its last edge, and the label before it."""

    depth: int
    row: int
    edge: int


class Search:
    """One search over one graph.

    Args:
        tables: Stage tables.
        bound: Bound on whole placements, and its prices.
        graph: The edges that may be part of something better.
        expired: Returns whether to stop; asked once per million labels.
        reporter: Watches.
    """

    def __init__(
        self,
        tables: Tables,
        bound: PathBound,
        graph: Graph,
        expired: Callable[[], bool],
        reporter: Reporter | None = None,
    ) -> None:
        self._tables = tables
        self._graph = graph
        self._root = float(bound.ahead[0, 0] - bound.taken_off)
        self._expired = expired
        self._reporter = reporter or Silent()
        self._counts = np.array([len(one.devices) for one in tables.classes], dtype=np.uint16)
        things = np.append(self._counts.astype(np.int64), bound.ahead.size)
        weights = key_weights(things)
        self._weights, self._of_place = weights[:-1], weights[-1]
        self._memory = Memory(tables, bound)
        self._slow = bound.prices.slow
        self._low = bound.span.low
        # What nobody pays of the slowest stage's seconds.
        self._unpaid = max(0.0, 1.0 - float(self._slow @ self._counts)) if tables.peaked else 0.0
        self._layers: list[tuple[Indices, Indices]] = []
        self._best = np.inf
        self._goal: _Goal | None = None

    def run(self, target: float, width: int) -> Found:
        """Look for the best placement below a known objective.

        Args:
            target: Objective to beat, in seconds; infinite when none is known.
            width: Most labels to keep per layer.
        """
        self._layers, self._goal, self._best = [], None, target
        labels, cut, states = self._start(), np.inf, 0
        while len(labels.place):
            self._reporter.layer(len(self._layers), len(labels.place))
            self._layers.append((labels.parent, labels.edge))
            states += len(labels.place)
            labels, lost = self._expanded(labels, width)
            cut = min(cut, lost)
            if self._expired():
                cut = min(cut, float(labels.slack.min(initial=np.inf)))
                break
        objective, runs = np.inf, ()
        if self._goal is not None:
            objective, runs = self._walk_back(self._goal)
        return Found(objective, runs, max(0.0, min(self._root + cut, self._best)), states)

    def _start(self) -> Labels:
        """Nothing is used, and nothing placed."""
        zero, none = np.zeros(1), np.zeros(1, dtype=np.intp)
        used = np.zeros((1, len(self._counts)), dtype=np.uint16)
        key = np.zeros((1, self._weights.shape[1]), dtype=np.int64)
        low, taken = zero + self._low, self._memory.start()
        return Labels(used, key, none, zero, low, taken, zero, none, none)

    def _expanded(self, labels: Labels, width: int) -> tuple[Labels, float]:
        """The best labels with one stage more, and the least slack of those that were cut.

        They are made and reduced in portions, so that there are never many more than are kept.
        """
        longer, cut = labels.pick(np.arange(0)), np.inf
        for rows in self._portions(labels):
            if self._expired():
                return longer, min(cut, float(labels.slack[rows[0]]))
            more, lost = self._continued(labels, rows, AMPLE * width)
            longer, cut = joined(longer, more), min(cut, lost)
            if len(longer.place) > width:
                longer, lost = self._reduced(longer, width)
                cut = min(cut, lost)
        longer, lost = self._reduced(longer, width)
        return longer, min(cut, lost)

    def _reduced(self, labels: Labels, width: int) -> tuple[Labels, float]:
        """Drop what is of no use, then what is least promising; return also its least slack."""
        kind = labels.key + labels.place[:, None] * self._of_place
        more = labels.taken
        if self._tables.peaked:
            more = np.column_stack((labels.peaked, more))
        rows = undominated(kind, labels.added, more)
        labels = labels.pick(rows[labels.slack[rows] < self._gap()])
        labels = labels.pick(np.flatnonzero(self._tables.allowed(labels.used)))
        if len(labels.place) <= width:
            return labels, np.inf
        order = np.argpartition(labels.slack, width - 1)
        return labels.pick(order[:width]), float(labels.slack[order[width:]].min())

    def _gap(self) -> float:
        """What slack must stay below."""
        return self._best * (1 - WORTHWHILE) - self._root

    def _portions(self, labels: Labels) -> Iterator[Indices]:
        """Parts of a layer that make no more than so many labels each, the best ones first."""
        order = np.argsort(labels.slack, kind="stable")
        _, count = self._graph.below(labels.place[order], self._gap() - labels.slack[order])
        portion = np.cumsum(count) // AT_ONCE
        yield from np.split(order, np.flatnonzero(np.diff(portion)) + 1)

    def _continued(self, labels: Labels, rows: Indices, most: int) -> tuple[Labels, float]:
        """Append every stage to some labels that may lead below the incumbent.

        Returns:
            So many at most of what that gives, by the slack without what the slowest stage and
            shared memories add; and the least slack of the others.
        """
        graph = self._graph
        first, count = graph.below(labels.place[rows], self._gap() - labels.slack[rows])
        parent = np.repeat(rows, count)
        edge = np.arange(len(parent)) + np.repeat(first - (np.cumsum(count) - count), count)
        at = graph.at[edge]
        unused = labels.used[parent, at] < self._counts[at]
        parent, edge, at = parent[unused], edge[unused], at[unused]
        if self._memory.shared:
            fits = self._memory.fits(labels.taken[parent], at, graph.taken[edge])
            parent, edge, at = parent[fits], edge[fits], at[fits]
        final = graph.head[edge] < 0
        if final.any():
            self._finish(labels, parent[final], edge[final])
        on = ~final
        on &= labels.slack[parent] + graph.reduced[edge] < self._gap()
        parent, edge, at = parent[on], edge[on], at[on]
        slack, lost = labels.slack[parent] + graph.reduced[edge], np.inf
        if len(slack) > most:
            order = np.argpartition(slack, most)
            lost, order = float(slack[order[most]]), order[:most]
            parent, edge, at, slack = parent[order], edge[order], at[order], slack[order]
        peaked = np.maximum(labels.peaked[parent], graph.peaked[edge])
        if self._tables.peaked:
            paid = (labels.used @ self._slow + self._unpaid)[parent]
            slack += (peaked - labels.peaked[parent]) * paid
            slack += self._slow[at] * (peaked - np.maximum(graph.peaked[edge], self._low))
        used = labels.used[parent]
        used[np.arange(len(at)), at] += 1
        taken = labels.taken[parent]
        if self._memory.shared:
            taken, unusable = self._memory.after(taken, at, graph.taken[edge], used)
            slack = slack + unusable
        longer = Labels(
            used=used,
            key=labels.key[parent] + self._weights[at],
            place=graph.head[edge],
            added=labels.added[parent] + graph.added[edge],
            peaked=peaked,
            taken=taken,
            slack=slack,
            parent=parent,
            edge=edge,
        )
        return longer, lost

    def _finish(self, labels: Labels, parent: Indices, edge: Indices) -> None:
        """Keep the best of complete placements, if it beats the incumbent."""
        graph = self._graph
        seconds = labels.added[parent] + graph.added[edge]
        seconds = seconds + np.maximum(labels.peaked[parent], graph.peaked[edge])
        hopeful = np.flatnonzero(seconds < self._best * (1 - WORTHWHILE))
        if self._tables.constrained and len(hopeful):
            used = labels.used[parent[hopeful]]
            used[np.arange(len(hopeful)), graph.at[edge[hopeful]]] += 1
            hopeful = hopeful[self._tables.allowed(used) & self._tables.fulfilled(used)]
        if len(hopeful):
            best = int(hopeful[seconds[hopeful].argmin()])
            self._best = float(seconds[best])
            self._goal = _Goal(len(self._layers) - 1, int(parent[best]), int(edge[best]))
            self._reporter.improved(self._best)

    def _walk_back(self, goal: _Goal) -> tuple[float, tuple[Run, ...]]:
        """Recover the stages of the incumbent from the layers, and what they really take."""
        graph, row, edge = self._graph, goal.row, goal.edge
        runs, added, peaked = list[Run](), 0.0, 0.0
        for parents, edges in self._layers[goal.depth :: -1]:
            runs.append(Run(int(graph.at[edge]), *graph.boundary(edge)))
            added += float(graph.added[edge])
            peaked = max(peaked, float(graph.peaked[edge]))
            row, edge = int(parents[row]), int(edges[row])
        return added + peaked, tuple(reversed(runs))
