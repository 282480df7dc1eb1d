"""An optimum found in another way: over the set of devices used, the last of them and the block.

It shares with the planner what a block and a hop cost on a slot, and nothing of the tables, the
classes, the bound or the search. It knows no memories that several devices share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.gguf.arrangement import Arrangement
from tests.planner.oracles.reading import beside, hopeless, limit_of, opens, spent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.planner.problem import Problem, Slot
    from tests.planner.oracles.reading import Spent

    Floats = NDArray[np.float64]


_SEVERAL = (Arrangement.HOST_FIRST, Arrangement.IN_TURN)
"""Arrangements in which one stage alone may need more than among several."""


class _Front(NamedTuple):
    """The least cost of the first ``b`` blocks, and the slowest stage of what costs so little."""

    cost: Floats
    slowest: Floats


class _Stages(NamedTuple):
    """Seconds without wire of blocks ``b .. e-1`` at ``[b, e]``, the head included where e is n.

    What does not fit is infinite in ``cost``.
    """

    cost: Floats
    peak: Floats


class Oracle:
    """The least objective of a problem of one arrangement."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        main = problem.peak if problem.bottleneck else problem.total
        self._main = [spent(slot, main) for slot in problem.slots]
        self._peak = [spent(slot, problem.peak) for slot in problem.slots]
        self._stages = [self._table(at, slot) for at, slot in enumerate(problem.slots)]

    def best(self) -> float:
        """The least objective, in seconds; infinite where nothing fits.

        Where sum and slowest stage both count, the least sum is found below ever lower caps on
        the slowest stage, until the sum alone is no better than what was found.
        """
        if hopeless(self.problem):
            return np.inf
        if self.problem.bottleneck:
            return self._least(np.inf)[0]
        least, cap = np.inf, np.inf
        while True:
            cost, slowest = self._least(cap)
            if cost >= least:
                return least
            least, cap = min(least, cost + slowest), slowest

    def _table(self, index: int, slot: Slot) -> _Stages:
        footprint, n = self.problem.footprint, self.problem.n_block
        load = footprint.weights + footprint.kv
        cost = np.full((n + 1, n + 1), np.inf)
        peak = np.zeros((n + 1, n + 1))
        for begin in range(n):
            for end in range(begin + 1, n + 1):
                head = end == n
                own = slot.on_host and begin == 0
                taken = footprint.inputs + footprint.entered[begin] + load[begin:end].sum()
                taken -= footprint.shared_compute * own
                scratch = footprint.scratch[begin:end].max()
                if head:
                    taken += load[n] - footprint.shared_head * own
                    scratch = max(scratch, footprint.scratch[n])
                else:
                    taken += footprint.left[end - 1]
                # All blocks on one device is another arrangement, and may need other buffers.
                other = head and begin == 0 and self.problem.arrangement in _SEVERAL
                other &= own or self.problem.arrangement is Arrangement.IN_TURN
                if not other and taken + scratch <= limit_of(self.problem, slot):
                    run = slice(begin, end)
                    main, slowest = self._main[index], self._peak[index]
                    cost[begin, end] = main.blocks[run].sum() + head * main.head
                    peak[begin, end] = slowest.blocks[run].sum() + head * slowest.head
        return _Stages(cost, peak)

    def _least(self, cap: float) -> tuple[float, float]:
        """The least cost with all stages quicker than a cap, and the slowest of them."""
        slots, n = self.problem.slots, self.problem.n_block
        # By the set of devices used, the last of them, and whether the next one, on the same far
        # node, takes the hidden states over.
        fronts: dict[tuple[int, int, bool], _Front] = {}
        empty = np.full(n + 1, np.inf)
        start = empty.copy()
        start[0] = 0.0
        queue = [(0, -1, False)]
        fronts[queue[0]] = _Front(start, np.zeros(n + 1))
        least = (np.inf, 0.0)
        for used, last, kept in queue:
            for index, slot in enumerate(slots):
                if used >> index & 1 or not self._follows(last, slot, kept=kept):
                    continue
                now = used | 1 << index
                for keeps in (False, True) if slot.remote else (False,):
                    found = self._after(fronts[used, last, kept], index, (kept, keeps), last, cap)
                    if not keeps and self._complete(now):
                        least = min(least, (float(found.cost[n]), float(found.slowest[n])))
                    if self.problem.arrangement is Arrangement.ALONE:
                        continue
                    key = (now, index, keeps)
                    if key not in fronts:
                        fronts[key] = _Front(empty, np.zeros(n + 1))
                        queue.append(key)
                    found.cost[n] = np.inf
                    fronts[key] = _better(fronts[key], found)
        return least

    def _follows(self, last: int, slot: Slot, *, kept: bool) -> bool:
        """Whether a slot may come after another one, or first of all."""
        if last < 0:
            return opens(self.problem, slot)
        return beside(self.problem.slots[last], slot) or not kept

    def _after(
        self, done: _Front, index: int, ways: tuple[bool, bool], last: int, cap: float
    ) -> _Front:
        """Append one stage to all that was done."""
        free = last < 0 and self.problem.slots[index].on_host
        cost = self._stages[index].cost + _wire(self._main[index], ways, free=free)
        peak = self._stages[index].peak + _wire(self._peak[index], ways, free=free)
        join = np.maximum if self.problem.bottleneck else np.add
        whole = join(done.cost[:, None], np.where(peak < cap, cost, np.inf))
        begin = whole.argmin(axis=0)
        at = np.arange(len(begin))
        return _Front(whole[begin, at], np.maximum(done.slowest[begin], peak[begin, at]))

    def _complete(self, used: int) -> bool:
        """Whether a set of devices is what was wished for."""
        slots = [slot for at, slot in enumerate(self.problem.slots) if used >> at & 1]
        names = {slot.device for slot in slots}
        most = self.problem.question.options.max_nodes
        away = {slot.node for slot in slots if slot.remote}
        return (most is None or len(away) < most) and all(
            names & some for some in self.problem.required
        )


def _wire(cost: Spent, ways: tuple[bool, bool], *, free: bool) -> Floats | float:
    """Seconds on the wire by the boundary where a stage ends; at the last it has the head."""
    kept, keeps = ways
    n = len(cost.blocks)
    if free:
        return 0.0
    wire = np.full(n + 1, cost.turn + (0.0 if kept else cost.enter))
    wire[:n] += 0.0 if keeps else cost.leave
    wire[n] += cost.finish
    return wire


def _better(one: _Front, other: _Front) -> _Front:
    return _Front(
        np.minimum(one.cost, other.cost),
        np.where(other.cost < one.cost, other.slowest, one.slowest),
    )
