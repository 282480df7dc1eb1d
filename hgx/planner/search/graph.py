"""The stages that may be part of something better, as edges between places, the best ones first.

A *place* is a boundary between blocks, and where the hidden states are there: at the coordinator,
or with a device of a node that several share, by its class. By the prices of
``hgx.planner.search.paths`` every edge has a reduced cost, which is what a path becomes longer by
that takes it in place of the best way on: nothing below zero. So a path of length ``root + slack``
so far may go on by the edges of a reduced cost below ``gap - slack``, if it is to stay below ``root
+ gap``; no other stage is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.search.paths import Tariff
from hgx.planner.ways import Way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs
    from hgx.planner.search.paths import PathBound

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]


class Graph(NamedTuple):
    """Edges, by place and then by reduced cost.

    Attributes:
        n_block: Number of blocks ``n``; place ``m n + b`` is boundary ``b`` where the hidden states
            are at the coordinator (``m = 0``) or with a device of class ``m - 1``.
        tail: Place where a stage begins.
        head: Place where it ends; -1 at the very end.
        at: Class of its device.
        reduced: Its reduced cost, in seconds.
        added: What it adds to the sum, in seconds, its wire included.
        peaked: Its seconds among those of which the slowest stage's count.
        taken: Its bytes.
        begin: First edge of each place, and the number of edges.
        key: Something that ascends with place and reduced cost.
        scale: What one place more adds to the key.
    """

    n_block: int
    tail: Indices
    head: Indices
    at: Indices
    reduced: Floats
    added: Floats
    peaked: Floats
    taken: Floats
    begin: Indices
    key: Floats
    scale: float

    def boundary(self, edge: int) -> tuple[int, int]:
        """First block of a stage, and the boundary behind its last."""
        tail, head, n = int(self.tail[edge]), int(self.head[edge]), self.n_block
        return tail % n, n if head < 0 else head % n

    def below(self, place: Indices, slack: Floats) -> tuple[Indices, Indices]:
        """The edges of places with a reduced cost below a slack.

        Returns:
            The first of them, and how many there are.
        """
        first = self.begin[place]
        end = np.searchsorted(self.key, place * self.scale + np.clip(slack, 0.0, self.scale / 2))
        return first, np.maximum(end - first, 0)


class _Part(NamedTuple):
    """Edges, in any order; as in ``Graph``."""

    tail: Indices
    head: Indices
    at: Indices
    reduced: Floats
    added: Floats
    peaked: Floats
    taken: Floats


def build_graph(arcs: Arcs, bound: PathBound, gap: float) -> Graph:
    """Find the edges with a reduced cost below a gap.

    Args:
        arcs: All stages.
        bound: Prices, and the shortest paths under them.
        gap: Seconds; it may be infinite.
    """
    parts = list(_Edges(arcs, bound).below(gap))
    tail = np.concatenate([part.tail for part in parts])
    reduced = np.concatenate([part.reduced for part in parts])
    order = np.lexsort((reduced, tail))
    tail, reduced = tail[order], reduced[order]
    scale = 4.0 * max(float(reduced.max(initial=0.0)), 1e-9)
    return Graph(
        n_block=arcs.n_block,
        tail=tail,
        head=np.concatenate([part.head for part in parts])[order],
        at=np.concatenate([part.at for part in parts])[order],
        reduced=reduced,
        added=np.concatenate([part.added for part in parts])[order],
        peaked=np.concatenate([part.peaked for part in parts])[order],
        taken=np.concatenate([part.taken for part in parts])[order],
        begin=np.searchsorted(tail, np.arange(bound.ahead.size + 1)),
        key=tail * scale + reduced,
        scale=scale,
    )


class _Followers(NamedTuple):
    """Who may have a stage of some way.

    Attributes:
        way: The way.
        at: Classes, shape ``(pairs,)``.
        before: The class that hands hidden states over to each; -1 where they come over the wire.
    """

    way: Way
    at: Indices
    before: Indices


def _followers(arcs: Arcs) -> Iterator[_Followers]:
    """All ways, with each class that is handed over to once for every class before it."""
    every, members = np.arange(len(arcs.counts)), arcs.members
    wire = np.full(len(every), -1)
    row, column = np.nonzero(arcs.mates < len(members))
    at, before = members[arcs.mates[row, column]], members[row]
    more = ~arcs.paired[at]
    for final in (False, True):
        yield _Followers(Way(entered=True, left=True, final=final), every, wire)
        yield _Followers(Way(entered=False, left=True, final=final), at, before)
    yield _Followers(Way(entered=True, left=False, final=False), members, wire[members])
    yield _Followers(Way(entered=False, left=False, final=False), at[more], before[more])


class _Edges:
    """All stages with their reduced costs."""

    def __init__(self, arcs: Arcs, bound: PathBound) -> None:
        self._arcs = arcs
        self._ahead = bound.ahead
        self._priced = Tariff(arcs, bound.span).priced(bound.prices)

    def below(self, gap: float) -> Iterator[_Part]:
        """Edges below a gap, way by way."""
        for followers in _followers(self._arcs):
            if len(followers.at):
                yield self._part(*followers, gap)

    def _part(self, way: Way, who: Indices, before: Indices, gap: float) -> _Part:
        arcs, n, final = self._arcs, self._arcs.n_block, way.final
        row = self._priced.rows(way, who)
        here = self._ahead[1 + before].T
        reduced = self._priced.of(way)[:, row]
        with np.errstate(invalid="ignore"):  # where there is no way on, there is none here either
            on = -here if final else self._on(way, who) - here[:, :, None]
            reduced = reduced + on
        found = np.nonzero(reduced < gap)
        begin, which = found[0], found[1]
        at, stages = who[which], (begin, row[which], *found[2:])
        end = n if final else begin + found[2] + 1
        place = np.zeros_like(at) if way.left else 1 + at
        peaked = arcs.peaked_ways
        return _Part(
            tail=(1 + before[which]) * n + begin,
            head=np.full(len(at), -1) if final else place * n + end,
            at=at,
            reduced=np.maximum(reduced[found], 0.0),
            added=arcs.added_ways.of(way)[stages],
            peaked=np.zeros(len(at)) if peaked is None else peaked.of(way)[stages],
            taken=arcs.last_bytes[begin, at] if final else arcs.bytes[begin, found[2]],
        )

    def _on(self, way: Way, who: Indices) -> Floats:
        """Length of the shortest path from the end of every stage on."""
        ends = np.minimum(self._arcs.ends, self._arcs.n_block - 1)
        if way.left:
            return self._ahead[0][ends][:, None]
        return self._ahead[1 + who][:, ends].transpose(1, 0, 2)
