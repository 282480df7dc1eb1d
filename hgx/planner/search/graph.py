"""The stages that may be part of something better, as edges between places, the best ones first.

A *place* is a boundary between blocks, and where the hidden states are there: at the coordinator,
or on a node. By the prices of ``hgx.planner.search.paths`` every edge has a reduced cost, which is
what a path becomes longer by that takes it in place of the best way on: nothing below zero. So a
path of length ``root + slack`` so far may go on by the edges of a reduced cost below ``gap -
slack``, if it is to stay below ``root + gap``; no other stage is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs, Cost
    from hgx.planner.search.paths import PathBound

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

WAYS = ((True, True), (True, False), (False, True), (False, False))
"""Whether hidden states come, and go, over the wire."""


class Graph(NamedTuple):
    """Edges, by place and then by reduced cost.

    Attributes:
        n_block: Number of blocks ``n``; place ``m n + b`` is boundary ``b`` where the hidden states
            are at the coordinator (``m = 0``) or on node ``m - 1`` of those that several share.
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


class _Edges:
    """All stages with their reduced costs."""

    def __init__(self, arcs: Arcs, bound: PathBound) -> None:
        self._arcs = arcs
        self._bound = bound
        self._device = bound.prices.device
        grouped = arcs.group < arcs.n_group
        # The way on from a node, for every class; there is none for those without others beside.
        n = arcs.n_block
        self._inside = np.full((len(grouped), n), np.inf)
        self._inside[grouped] = bound.ahead[1 + arcs.group[grouped]]
        self._closed = np.broadcast_to(bound.ahead[0], self._inside.shape)
        self._node = np.where(grouped, 1 + arcs.group, 0)
        self._shut = np.zeros(len(grouped), dtype=np.bool_)
        if arcs.opening:
            self._shut = ~np.isin(np.arange(len(grouped)), arcs.opening)

    def below(self, gap: float) -> Iterator[_Part]:
        """Edges below a gap, way by way."""
        for entered, left in WAYS:
            if (entered and left) or self._arcs.n_group:
                yield self._inner(gap, entered=entered, left=left)
        for entered in (True, False):
            if entered or self._arcs.n_group:
                yield self._last(gap, entered=entered)

    def _inner(self, gap: float, *, entered: bool, left: bool) -> _Part:
        arcs, cost, n = self._arcs, self._bound.cost, self._arcs.n_block
        ends = np.minimum(arcs.ends, n - 1)
        on = (self._closed if left else self._inside)[:, ends].transpose(1, 0, 2)
        here = (self._closed if entered else self._inside).T
        wire = self._device + cost.wire(entered=entered, left=left)
        with np.errstate(invalid="ignore"):  # where there is no way on, there is none here either
            reduced = cost.inner + wire[None, :, None] + on - here[:, :, None]
        self._except(reduced, wire, entered=entered)
        wires = {"entered": entered, "left": left}
        begin, at, length = np.nonzero(reduced < gap)
        peaked = np.zeros(len(at))
        if arcs.peaked is not None:
            peaked = arcs.peaked.inner[begin, at, length]
            peaked = peaked + self._wires(arcs.peaked, begin, at, **wires)
            within = peaked <= self._bound.span.high
            begin, at, length, peaked = begin[within], at[within], length[within], peaked[within]
        added = arcs.added.inner[begin, at, length] + self._wires(arcs.added, begin, at, **wires)
        end = begin + length + 1
        return _Part(
            tail=(0 if entered else self._node[at] * n) + begin,
            head=(0 if left else self._node[at] * n) + end,
            at=at,
            reduced=np.maximum(reduced[begin, at, length], 0.0),
            added=added,
            peaked=peaked,
            taken=arcs.bytes[begin, length],
        )

    def _last(self, gap: float, *, entered: bool) -> _Part:
        arcs, cost, n = self._arcs, self._bound.cost, self._arcs.n_block
        here = (self._closed if entered else self._inside).T
        wire = self._device + cost.wire_last(entered=entered)
        with np.errstate(invalid="ignore"):
            reduced = cost.last + wire - here
        self._except(reduced, wire, entered=entered)
        begin, at = np.nonzero(reduced < gap)
        peaked = np.zeros(len(at))
        if arcs.peaked is not None:
            peaked = arcs.peaked.last[begin, at]
            peaked = peaked + self._wires(arcs.peaked, begin, at, entered=entered)
            within = peaked <= self._bound.span.high
            begin, at, peaked = begin[within], at[within], peaked[within]
        added = arcs.added.last[begin, at] + self._wires(arcs.added, begin, at, entered=entered)
        return _Part(
            tail=(0 if entered else self._node[at] * n) + begin,
            head=np.full(len(at), -1),
            at=at,
            reduced=np.maximum(reduced[begin, at], 0.0),
            added=added,
            peaked=peaked,
            taken=arcs.last_bytes[begin, at],
        )

    def _except(self, reduced: Floats, wire: Floats, *, entered: bool) -> None:
        """Correct what is different for the first stage, and leave out what has no place."""
        if entered:
            for free in self._arcs.free:
                reduced[0, free] -= wire[free] - self._device[free]
            reduced[0, self._shut] = np.inf
        else:
            reduced[:, self._node == 0] = np.inf

    def _wires(
        self, cost: Cost, begin: Indices, at: Indices, *, entered: bool, left: bool | None = None
    ) -> Floats:
        """What stages pay on the wire; the last where it is not said whether they leave it."""
        wire = cost.wire_last(entered=entered)
        if left is not None:
            wire = cost.wire(entered=entered, left=left)
        free = (begin == 0) & np.isin(at, self._arcs.free)
        return np.where(free, 0.0, wire[at])
