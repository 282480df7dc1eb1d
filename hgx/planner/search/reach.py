"""The slowest stage made as fast as possible, where every device has a memory of its own.

Say that no stage may take longer than ``T``. Then a stage that begins at a boundary reaches a
farthest one, and to reach farther with the same devices is never worse, since a device may always
do with fewer blocks, or with none. So a state of the search is a set of used devices and a
boundary, and two ways to the same set merge by the farther boundary. Whether the end can be reached
is decided for one ``T`` after the other, by bisection: what is found brings the answer down to its
own slowest stage, what is proven impossible brings the bound up to the next time that any stage can
take. Where a device may not do with none, which ``hgx.planner.search.boundaries`` explains, what is
found is right but not certainly the best: there the proof is a search with all boundaries in view.

What is impossible shows early, without a search, by prices of blocks
(``hgx.planner.search.packing``). The same proof is what is left where there are too many devices to
try all sets of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.arcs import Arcs
from hgx.planner.keys import CLOSED, key_weights
from hgx.planner.search.boundaries import ROUNDING, Boundaries
from hgx.planner.search.found import WORTHWHILE, Found, Run
from hgx.planner.search.packing import Packing
from hgx.planner.search.within import WAYS, StageTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hgx.planner.search.reporter import Reporter
    from hgx.planner.search.within import Reach
    from hgx.planner.tables import Tables

    Indices = NDArray[np.intp]

FEW_ROUNDS, MANY_ROUNDS = 20, 300
"""Rounds of multiplicative weights for one time at most, where a search proves what they do not,
and where they must."""

NEAR = 1e-9
"""Part of the answer by which the bound may be below it."""

HALVINGS, CLOSE = 12, 1e-4
"""How often prices alone halve what is between bound and answer, and when that is enough."""


@dataclass
class _Best:
    """The least time that was found, no time below which there is anything, and the stages."""

    high: float
    low: float
    runs: tuple[Run, ...] = ()


class Slowest:
    """The search for the least slowest stage.

    Args:
        tables: Stage tables; the slowest stage counts, and no memory is shared.
        expired: Returns whether to stop.
        reporter: Watches.
    """

    def __init__(self, tables: Tables, expired: Callable[[], bool], reporter: Reporter) -> None:
        self._tables = tables
        self._arcs = arcs = Arcs(tables)
        self._expired = expired
        self._reporter = reporter
        self._states = 0
        self._times = StageTimes(arcs)
        self._packing = Packing(arcs)
        # A device that has to have a stage, or spares its neighbour the wire, needs a block for it.
        self._overlooks = arcs.n_group > 0 or len(tables.required) > 0

    def run(self, target: float, floor: float, widths: Sequence[int], rounds: int) -> Found:
        """Look for the best placement below a known one.

        Args:
            target: Seconds of the slowest stage to beat; infinite when none is known.
            floor: Seconds that no placement goes below.
            widths: Most sets of devices to keep per number of stages, one search after the other.
            rounds: Rounds of looking for prices at most, before a search.
        """
        best = _Best(target, floor)
        if len(widths) > 1:
            best.low = self._raised(floor, target)
        for width in widths:
            self._bisect(best, width, rounds)
            if len(widths) == 1 and self._overlooks:
                self._look_closer(best, width, rounds)
        objective = best.high if best.runs else np.inf
        return Found(objective, best.runs, min(best.low, best.high), self._states)

    def _bisect(self, best: _Best, width: int, rounds: int) -> None:
        """Decide for one time after the other whether the end can be reached."""
        tried = best.low  # the longest time at which nothing was found, and nothing proven
        while max(best.low, tried) < best.high * (1 - NEAR) and not self._expired():
            middle = self._between(best.low, tried, best.high)
            if tried > best.low and middle >= best.high * (1 - WORTHWHILE):
                break  # no stage takes a time in between
            reach = self._times.within(middle)
            if self._packing.impossible(reach, rounds):
                best.low = self._times.following(middle)
                continue
            found, cut = self._walk(reach, width)
            if found:
                self._improve(best, found, middle)
            elif not (cut or self._overlooks):
                best.low = self._times.following(middle)
            elif np.isfinite(best.high):
                tried = middle
            else:
                break  # no stage takes longer

    def _look_closer(self, best: _Best, width: int, rounds: int) -> None:
        """Prove that nothing is better, or find what is, with all boundaries of a set in view."""
        while best.low < best.high * (1 - NEAR) and not self._expired():
            known = np.isfinite(best.high)
            time = best.high * (1 - NEAR) if known else self._times.longest()
            search = Boundaries(self._tables, self._arcs, self._times.within(time), self._packing)
            found, cut = search.search(width, self._expired)
            self._states += search.states
            if found:
                self._improve(best, found, time)
                self._bisect(best, width, rounds)
            elif cut:
                break
            else:
                best.low = best.high

    def _improve(self, best: _Best, found: tuple[Run, ...], time: float) -> None:
        best.runs, best.high = found, min(time, self._arcs.seconds(found)[1])
        self._reporter.improved(best.high)

    def _between(self, low: float, tried: float, high: float) -> float:
        """A time to try next."""
        if not np.isfinite(high):
            return self._times.longest()
        if low >= tried:
            return (low + high) / 2
        # Below the next time that any stage can take there is nothing but what was tried.
        return max((tried + high) / 2, self._times.following(tried))

    def _raised(self, low: float, high: float) -> float:
        """Bring the bound up by prices alone, between it and the answer."""
        top = high
        for _ in range(HALVINGS):
            if not low < top * (1 - CLOSE) or self._expired() or not np.isfinite(top):
                break
            middle = (low + top) / 2
            if self._packing.impossible(self._times.within(middle), MANY_ROUNDS):
                low = self._times.following(middle)
            else:
                top = middle
        return low

    def _walk(self, reach: Reach, width: int) -> tuple[tuple[Run, ...], bool]:
        """Try to reach the end; also whether any states were cut."""
        steps = _Steps(self._arcs, reach, self._packing)
        states, layers, cut = steps.start(), list[_States](), False
        while len(states.at):
            self._states += len(states.at)
            self._reporter.layer(len(layers), len(states.at))
            layers.append(states)
            done = self._completed(states, steps, first=len(layers) == 1)
            if done is not None:
                return _back(layers, *done, self._arcs.n_block), cut
            if self._expired():
                return (), True
            states = steps.expanded(states, first=len(layers) == 1)
            if self._tables.constrained:
                states = states.pick(np.flatnonzero(self._tables.allowed(states.used)))
            if len(states.at) > width:
                states, cut = states.pick(steps.promising(states)[:width]), True
        return (), cut

    def _completed(self, states: _States, steps: _Steps, *, first: bool) -> tuple[int, int] | None:
        """Find a state that one more device completes: its row and the class."""
        for row, k in zip(*steps.closing(states, first=first), strict=True):
            if not self._tables.constrained:
                return int(row), int(k)
            used = states.used[row : row + 1].copy()
            used[0, k] += 1
            if self._tables.allowed(used)[0] and self._tables.fulfilled(used)[0]:
                return int(row), int(k)
        return None


class _States(NamedTuple):
    """Sets of devices, and how far they reach.

    Attributes:
        used: Devices used of each class, shape ``(states, classes)``.
        key: Numbers that are the same for the same set and mode only, shape ``(states, words)``.
        mode: CLOSED, or the group whose node holds the hidden states.
        at: Boundary that was reached.
        parent: Row of the state before.
        by: Class of the last stage.
    """

    used: NDArray[np.uint16]
    key: NDArray[np.int64]
    mode: Indices
    at: Indices
    parent: Indices
    by: Indices

    def pick(self, rows: Indices) -> _States:
        """Take some of them."""
        return _States(
            self.used[rows],
            self.key[rows],
            self.mode[rows],
            self.at[rows],
            self.parent[rows],
            self.by[rows],
        )


class _Steps:
    """How one stage more changes states, for one time."""

    def __init__(self, arcs: Arcs, reach: Reach, packing: Packing) -> None:
        self._arcs = arcs
        self._reach = reach
        self._upto = np.concatenate(([0.0], np.cumsum(packing.price)))
        self._worth = packing.most(reach, self._upto)
        self._weights = key_weights(np.append(arcs.counts.astype(np.intp), arcs.n_group))

    def start(self) -> _States:
        """Nothing is used, and nothing reached."""
        zero = np.zeros(1, dtype=np.intp)
        used = np.zeros((1, len(self._arcs.counts)), dtype=np.uint16)
        return _States(used, 0 * self._weights[:1], zero + CLOSED, zero, zero, zero)

    def closing(self, states: _States, *, first: bool) -> tuple[Indices, Indices]:
        """States that one more device completes, and its class."""
        last = self._reach.last[:, :, states.at]
        closed = states.mode == CLOSED
        fits = (closed & last[1]) | (~closed & last[0] & self._inside(states))
        for k, (_, whole) in self._reach.first.items() if first else ():
            fits[k] = whole
        k, row = np.nonzero(fits & self._unused(states) & self._opening(first=first))
        return row, k

    def expanded(self, states: _States, *, first: bool) -> _States:
        """All states with one stage more; of equal sets the one that reaches farthest is kept."""
        found = [
            self._moved(states, way, left=left, first=first) for way, (_, left) in enumerate(WAYS)
        ]
        row, k, end, mode = (np.concatenate(some) for some in zip(*found, strict=True))
        left = self._worth @ self._arcs.counts - states.used @ self._worth
        needed = self._upto[-1] * (1 - ROUNDING) - self._upto[end]
        hopeful = left[row] - self._worth[k] >= needed
        row, k, end, mode = row[hopeful], k[hopeful], end[hopeful], mode[hopeful]
        weights = self._weights
        key = states.key[row] + weights[k] + (mode - states.mode[row])[:, None] * weights[-1]
        order = np.lexsort((-end, *key.T))
        new = np.concatenate(([True], (key[order][1:] != key[order][:-1]).any(axis=1)))
        kept = order[new[: len(order)]]
        row, k = row[kept], k[kept]
        used = states.used[row]
        used[np.arange(len(row)), k] += 1
        return _States(used, key[kept], mode[kept], end[kept], row, k)

    def promising(self, states: _States) -> Indices:
        """Rows, those first that have reached most with what their devices are worth."""
        waste = states.used @ self._worth - self._upto[states.at]
        return np.argsort(waste, kind="stable")

    def _moved(
        self, states: _States, way: int, *, left: bool, first: bool
    ) -> tuple[Indices, Indices, Indices, Indices]:
        """Stages of one way: the states they follow, classes, boundaries and modes."""
        arcs, entered = self._arcs, WAYS[way][0]
        ends = self._reach.ends[way][:, states.at]
        for k, (end, _) in self._reach.first.items() if first and way == 0 else ():
            ends[k] = end
        fits = (states.mode == CLOSED) if entered else self._inside(states)
        fits = fits & (ends > states.at) & self._unused(states) & self._opening(first=first)
        if not left:
            fits &= (arcs.group < arcs.n_group)[:, None]
        k, row = np.nonzero(fits)
        mode = np.full(len(k), CLOSED) if left else arcs.group[k]
        return row, k, ends[k, row], mode

    def _inside(self, states: _States) -> NDArray[np.bool_]:
        """Whether hidden states are on the node of each class, shape ``(classes, states)``."""
        return self._arcs.group[:, None] == states.mode[None, :]

    def _unused(self, states: _States) -> NDArray[np.bool_]:
        return self._arcs.counts[:, None] > states.used.T

    def _opening(self, *, first: bool) -> NDArray[np.bool_]:
        """Which classes may come next, shape ``(classes, 1)``."""
        opening = self._arcs.opening
        allowed = np.full((len(self._arcs.counts), 1), not (first and opening))
        allowed[list(opening)] = True
        return allowed


def _back(layers: list[_States], row: int, k: int, n_block: int) -> tuple[Run, ...]:
    """Recover the stages that led to a state, and the last one."""
    begin = int(layers[-1].at[row])
    runs = [Run(k, begin, n_block)]
    for depth in range(len(layers) - 1, 0, -1):
        layer = layers[depth]
        before = int(layer.parent[row])
        end, begin = begin, int(layers[depth - 1].at[before])
        runs.append(Run(int(layer.by[row]), begin, end))
        row = before
    return tuple(reversed(runs))
