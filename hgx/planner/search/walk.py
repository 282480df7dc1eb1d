"""Shortest paths over the boundaries between blocks; every step is a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.planner.arcs import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs, Cost

    Floats = NDArray[np.float64]


class Walk:
    """Shortest paths from every boundary to the end, found from the end.

    Args:
        arcs: All stages.
        cost: What they cost.
        device: What stages on each class pay besides, shape ``(classes,)``.

    Attributes:
        ahead: Length of the shortest path from each boundary, by where hidden states are (at the
            coordinator first, then on each node), shape ``(nodes + 1, n)``; infinite where there is
            none. At the beginning of all, that of a whole placement.
    """

    def __init__(self, arcs: Arcs, cost: Cost, device: Floats) -> None:
        self._arcs, self._cost, self._device = arcs, cost, device
        n, length = arcs.n_block, arcs.longest
        self._toll = cost.turn + device
        self._last = cost.last + cost.finish
        self.ahead = np.full((arcs.n_group + 1, n), np.inf)
        # What follows a stage of each class that ends at a boundary, its way back included.
        self._after = np.full((len(arcs.counts), n + length + 1), np.inf)
        self._look_ahead()
        self._first = self._stages(0) + cost.enter
        for free in arcs.free:
            self._first[free] = min(self._free_inner(free).min(), cost.last[0, free])
            self._first[free] += device[free]
        if arcs.opening:
            others = np.ones(len(self._first), dtype=np.bool_)
            others[list(arcs.opening)] = False
            self._first[others] = np.inf
        self.ahead[0, 0] = self._first.min()

    def _look_ahead(self) -> None:
        arcs, after, ahead = self._arcs, self._after, self.ahead
        inner, enter, leave = self._cost.inner, self._cost.enter, self._cost.leave
        last = self._last + self._toll
        toll, length, least = self._toll, arcs.longest, np.minimum.reduce
        members, starts = arcs.crowded
        nodes = arcs.group[members]
        on = np.empty(inner.shape[1:])
        # This loop is where the time of a bound goes: nothing is looked up or made in it twice.
        for begin in range(arcs.n_block - 1, 0, -1):
            np.add(inner[begin], after[:, begin + 1 : begin + 1 + length], out=on)
            stages = np.minimum(least(on, axis=1) + toll, last[begin])
            closed = least(stages + enter)
            ahead[0, begin] = closed
            back = leave + closed
            if arcs.n_group:
                inside = np.minimum.reduceat(stages[members], starts)
                ahead[1:, begin] = inside
                back[members] = np.minimum(back[members], inside[nodes])
            after[:, begin] = back

    def _stages(self, begin: int) -> Floats:
        """Least seconds from a boundary on with a stage of each class first, not entered yet."""
        on = self._after[:, begin + 1 : begin + 1 + self._arcs.longest]
        going_on = np.minimum.reduce(self._cost.inner[begin] + on, axis=1)
        return np.minimum(going_on, self._last[begin]) + self._toll

    def _free_inner(self, free: int) -> Floats:
        """Least seconds with a first stage without wire, by its length."""
        n, ends = self._arcs.n_block, self._arcs.ends[0]
        closed = np.where(ends < n, self.ahead[0, np.minimum(ends, n - 1)], np.inf)
        return self._cost.inner[0, free] + closed

    def path(self) -> Iterator[Step]:
        """Give the stages of the shortest path; it must be finite."""
        arcs, n = self._arcs, self._arcs.n_block
        begin, at, entered = 0, int(self._first.argmin()), True
        while True:
            free = begin == 0 and at in arcs.free
            inner, last = self._steps(begin, at, free=free)
            length = int(inner.argmin())
            if last <= inner[length]:
                yield Step(at, begin, n, entered, left=False, final=True)
                return
            end = begin + length + 1
            node = 1 + int(arcs.group[at])
            stays = (
                not free
                and node <= arcs.n_group
                and self.ahead[node, end] < self._cost.leave[at] + self.ahead[0, end]
            )
            yield Step(at, begin, end, entered, left=not stays, final=False)
            stages = self._stages(end)
            if stays:
                stages[arcs.group != arcs.group[at]] = np.inf
            else:
                stages += self._cost.enter
            begin, at, entered = end, int(stages.argmin()), not stays

    def _steps(self, begin: int, at: int, *, free: bool) -> tuple[Floats, float]:
        """Seconds from a boundary on with a stage of a class, by its length, and as the last."""
        if free:
            return self._free_inner(at), float(self._cost.last[begin, at])
        on = self._after[at, begin + 1 : begin + 1 + self._arcs.longest]
        return self._cost.inner[begin, at] + on, float(self._last[begin, at])
