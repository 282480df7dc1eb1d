"""Whether devices reach the end within a time, with every boundary kept that a set of them reaches.

``hgx.planner.search.reach`` keeps the farthest boundary alone, since a device may do with fewer
blocks. It overlooks placements where a device may not do with none: what is required must have a
stage, and a short stage on a far node may spare the next one there its wire. Here a state is a set
of used devices with all boundaries that they can reach. From a boundary ``b`` a stage may end
anywhere up to its farthest one, and that is the farther the later it begins; so what reaches ``e``
begins between the first boundary from which ``e`` can be reached, and ``e``: counts of the
boundaries before each one tell at once whether there is any.

A boundary is dropped where the blocks behind it are worth more than all unused devices can hold, by
the prices of ``hgx.planner.search.packing``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.keys import CLOSED
from hgx.planner.search.found import Run
from hgx.planner.search.within import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs
    from hgx.planner.search.packing import Packing
    from hgx.planner.search.within import Reach
    from hgx.planner.tables import Tables

    Indices = NDArray[np.intp]
    Mask = NDArray[np.bool_]

ROUNDING = 1e-9
"""Part of the worth of all blocks by which sums of prices may be off."""


class _Layer(NamedTuple):
    """States with the same number of stages.

    Attributes:
        used: Devices used of each class, shape ``(states, classes)``.
        mode: CLOSED, or the group whose node holds the hidden states.
        reached: Whether a boundary is reached, shape ``(states, n)``.
    """

    used: NDArray[np.uint16]
    mode: NDArray[np.int16]
    reached: Mask

    def pick(self, rows: Indices) -> _Layer:
        """Take some of them."""
        return _Layer(self.used[rows], self.mode[rows], self.reached[rows])


class _Goal(NamedTuple):
    """A stage, and the state before it."""

    row: int
    run: Run


class Boundaries:
    """The search for any placement within a time.

    Args:
        tables: Stage tables.
        arcs: Their stages.
        reach: How far stages get.
        packing: Prices of blocks.

    Attributes:
        states: States that were opened.
    """

    def __init__(self, tables: Tables, arcs: Arcs, reach: Reach, packing: Packing) -> None:
        self._tables = tables
        self._arcs = arcs
        self._reach = reach
        n = arcs.n_block
        self._upto = np.concatenate(([0.0], np.cumsum(packing.price)))
        self._worth = packing.most(reach, self._upto)
        # The first boundary from which each one can be reached, by way and class.
        farthest = np.maximum.accumulate(reach.ends, axis=2)
        self._from = np.minimum((farthest[..., None, :] < np.arange(n)[:, None]).sum(-1), range(n))
        self._layers: list[_Layer] = []
        self.states = 0

    def search(self, width: int, expired: Callable[[], bool]) -> tuple[tuple[Run, ...], bool]:
        """Look for a placement.

        Args:
            width: Most states to keep per number of stages.
            expired: Returns whether to stop.

        Returns:
            Its stages, and whether any states were cut; without either there is none.
        """
        classes, n = len(self._arcs.counts), self._arcs.n_block
        start = np.zeros((1, n), dtype=np.bool_)
        start[0, 0] = True
        closed = np.full(1, CLOSED, dtype=np.int16)
        layer = _Layer(np.zeros((1, classes), dtype=np.uint16), closed, start)
        self._layers, cut = [], False
        while len(layer.mode):
            self._layers.append(layer)
            self.states += len(layer.mode)
            goal = self._finish(layer)
            if goal:
                return tuple(self._walk_back(goal)), cut
            if expired():
                return (), True
            layer = self._pruned(self._expanded(layer))
            if len(layer.mode) > width:
                waste = layer.used @ self._worth - self._upto[_last(layer.reached)]
                layer, cut = layer.pick(np.argsort(waste, kind="stable")[:width]), True
        return (), cut

    def _first(self) -> bool:
        return len(self._layers) == 1

    def _followers(self) -> Iterator[int]:
        """Classes that may have the next stage."""
        opening = self._tables.opening
        yield from opening if self._first() and opening else range(len(self._arcs.counts))

    def _modes(self, k: int) -> list[tuple[int, bool]]:
        """States a class can follow, and whether it is entered over the wire then."""
        group = int(self._arcs.group[k])
        return [(CLOSED, True)] if group == self._arcs.n_group else [(CLOSED, True), (group, False)]

    def _finish(self, layer: _Layer) -> _Goal | None:
        """Find a state that one more device completes."""
        for k in self._followers():
            for mode, entered in self._modes(k):
                fits = self._reach.last[int(entered), k]
                if self._first() and k in self._reach.first:
                    fits = np.full(len(fits), self._reach.first[k][1])
                found = layer.reached & fits & self._free(layer, k, mode)[:, None]
                rows = np.flatnonzero(found.any(axis=1))
                used = layer.used[rows]
                used[:, k] += 1
                rows = rows[self._tables.allowed(used) & self._tables.fulfilled(used)]
                if len(rows):
                    begin = int(found[rows[0]].argmax())
                    return _Goal(int(rows[0]), Run(k, begin, self._arcs.n_block))
        return None

    def _free(self, layer: _Layer, k: int, mode: int) -> Mask:
        return (layer.used[:, k] < self._arcs.counts[k]) & (layer.mode == mode)

    def _expanded(self, layer: _Layer) -> _Layer:
        """Append every class to every state, and put equal states together."""
        parts = [
            self._appended(layer.pick(np.flatnonzero(self._free(layer, k, mode))), k, way, after)
            for k in self._followers()
            for mode, entered in self._modes(k)
            for after, left in self._modes(k)
            for way in [WAYS.index((entered, left))]
        ]
        whole = _Layer(*(np.concatenate(some) for some in zip(*parts, strict=True)))
        if not len(whole.mode):
            return whole
        key = state_keys(whole.used, whole.mode)
        order = np.argsort(key, kind="stable")
        begins = np.flatnonzero(np.concatenate(([True], np.diff(key[order]) != 0)))
        reached = np.logical_or.reduceat(whole.reached[order], begins, axis=0)
        return whole.pick(order[begins])._replace(reached=reached)

    def _appended(self, layer: _Layer, k: int, way: int, mode: int) -> _Layer:
        used = layer.used.copy()
        used[:, k] += 1
        n = self._arcs.n_block
        if self._first() and k in self._reach.first:
            ends = np.arange(n)
            reached = np.tile((ends > 0) & (ends <= self._reach.first[k][0]), (len(used), 1))
        else:
            before = np.zeros((len(used), n + 1), dtype=np.int32)
            np.cumsum(layer.reached, axis=1, out=before[:, 1:])
            reached = before[:, :n] > before[:, self._from[way, k]]
        return _Layer(used, np.full(len(used), mode, dtype=np.int16), reached)

    def _pruned(self, layer: _Layer) -> _Layer:
        """Drop boundaries from which the rest is worth too much, and states without any."""
        left = (self._arcs.counts[None, :] - layer.used) @ self._worth
        hopeful = self._upto[None, :-1] + left[:, None] >= self._upto[-1] * (1 - ROUNDING)
        reached = layer.reached & hopeful
        kept = reached.any(axis=1) & self._tables.allowed(layer.used)
        return layer._replace(reached=reached).pick(np.flatnonzero(kept))

    def _walk_back(self, goal: _Goal) -> list[Run]:
        """Recover the stages from the layers."""
        runs, row = [goal.run], goal.row
        while len(self._layers) > 1:
            layer = self._layers.pop()
            step = self._step_back(layer.used[row], int(layer.mode[row]), runs[-1].begin)
            runs.append(step.run)
            row = step.row
        return runs[::-1]

    def _step_back(self, used: NDArray[np.uint16], mode: int, end: int) -> _Goal:
        """Find a state of the last layer from which one stage leads to a boundary."""
        layer = self._layers[-1]
        for k in self._followers():
            if not used[k] or mode not in (after for after, _ in self._modes(k)):
                continue
            previous = used.copy()
            previous[k] -= 1
            for source, entered in self._modes(k):
                same = (layer.used == previous).all(axis=1) & (layer.mode == source)
                for row in np.flatnonzero(same):
                    way = WAYS.index((entered, mode == CLOSED))
                    farthest = self._reach.ends[way, k]
                    if self._first() and k in self._reach.first:
                        farthest = np.full(len(farthest), self._reach.first[k][0])
                    begins = np.flatnonzero(layer.reached[row, :end] & (farthest[:end] >= end))
                    if len(begins):
                        return _Goal(int(row), Run(k, int(begins[0]), end))
        raise AssertionError  # whatever is reached was reached from somewhere


def _last(reached: Mask) -> Indices:
    """The last boundary that each state reaches."""
    return reached.shape[1] - 1 - reached[:, ::-1].argmax(axis=1)


def state_keys(used: NDArray[np.uint16], mode: NDArray[np.int16]) -> Indices:
    """Give every set and mode a number, the same for the same only.

    Args:
        used: Devices used of each class, shape ``(states, classes)``.
        mode: Of each state, shape ``(states,)``.
    """
    columns = np.concatenate((used, (mode[:, None] + 1).astype(np.uint16)), axis=1)
    sizes = [int(most) + 1 for most in columns.max(axis=0)]
    if math.prod(sizes) < 2**62:
        weights = [math.prod(sizes[:at]) for at in range(len(sizes))]
        return columns.astype(np.int64) @ np.array(weights, dtype=np.int64)
    return np.unique(columns, axis=0, return_inverse=True)[1].ravel()
