"""An optimum found in another way: over the set of devices used, the last of them and the block.

It shares with the planner what a block and a hop cost on a slot, and nothing of the tables, the
classes, the bound or the search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.planner.problem import Problem, Seconds, Slot

    Floats = NDArray[np.float64]


class Oracle:
    """The least objective of a problem without shared memories."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.fits = [
            [self._reach(slot, begin) for begin in range(problem.n_block)] for slot in problem.slots
        ]

    def _reach(self, slot: Slot, begin: int) -> tuple[int, bool]:
        """How far a stage from a block may go, and whether all the rest fits with the head."""
        footprint, n = self.problem.footprint, self.problem.n_block
        limit = min(
            [slot.capacity, *(p.capacity for p in self.problem.pools if slot.device in p.devices)]
        )
        taken, peak, end = footprint.inputs, 0.0, begin
        while end < n:
            taken += footprint.weights[end] + footprint.kv[end]
            peak = max(peak, footprint.scratch[end])
            if taken + peak > limit:
                return end, False
            end += 1
        head = footprint.weights[n] - (
            footprint.shared_head if slot.on_host and begin == 0 else 0.0
        )
        return n, bool(taken + head + max(peak, footprint.scratch[n]) <= limit)

    def _seconds(self, slot: Slot) -> list[tuple[float, Seconds]]:
        weights = (self.problem.prefill_weight, self.problem.decode_weight)
        return list(zip(weights, (slot.prefill, slot.decode), strict=True))

    def _part(self, slot: Slot, name: str) -> float:
        return sum(weight * getattr(phase.hop, name) for weight, phase in self._seconds(slot))

    def _blocks(self, slot: Slot) -> Floats:
        return np.sum([weight * phase.blocks for weight, phase in self._seconds(slot)], axis=0)

    def best(self) -> float:
        """The least objective, in seconds; infinite where nothing fits."""
        join = np.maximum if self.problem.bottleneck else np.add
        slots, n = self.problem.slots, self.problem.n_block
        least = np.inf
        # What the first b blocks cost on a set of devices, by the last of them and by whether
        # the next one stands on the same far node.
        front: dict[tuple[int, int, bool], Floats] = {}
        nothing = np.full(n + 1, np.inf)
        nothing[0] = 0.0
        queue: list[tuple[int, int, bool]] = [(0, -1, False)]
        front[queue[0]] = nothing
        for used, last, kept in queue:
            done = front[used, last, kept]
            for index, slot in enumerate(slots):
                if used >> index & 1:
                    continue
                beside = last >= 0 and slot.remote and slots[last].node == slot.node
                if kept and not beside:
                    continue
                free = slot.on_host and last < 0
                wire = 0.0 if free else self._part(slot, "turn")
                wire += 0.0 if free or kept else self._part(slot, "enter")
                away = 0.0 if free else self._part(slot, "leave")
                home = 0.0 if free else self._part(slot, "finish")
                seconds = self._blocks(slot)
                upto = np.concatenate(([0.0], np.cumsum(seconds[:-1])))
                stay, leave = np.full(n + 1, np.inf), np.full(n + 1, np.inf)
                for begin in np.flatnonzero(np.isfinite(done[:n])):
                    end, whole = self.fits[index][begin]
                    ends = np.arange(begin + 1, end + 1)
                    stage = upto[ends] - upto[begin] + wire
                    stay[ends] = np.minimum(stay[ends], join(done[begin], stage))
                    leave[ends] = np.minimum(leave[ends], join(done[begin], stage + away))
                    if whole:
                        final = upto[n] - upto[begin] + seconds[-1] + wire + home
                        least = min(least, float(join(done[begin], final)))
                for keeps, cost in ((True, stay), (False, leave)):
                    if keeps and not slot.remote:
                        continue
                    key = (used | 1 << index, index, keeps)
                    if key not in front:
                        front[key] = cost
                        queue.append(key)
                    else:
                        front[key] = np.minimum(front[key], cost)
        return least
