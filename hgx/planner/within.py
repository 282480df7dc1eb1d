"""How far a stage gets within a time, on every class of devices and from every boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs
    from hgx.planner.search import Run

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

WAYS = ((True, True), (True, False), (False, True), (False, False))
"""Whether hidden states come, and go, over the wire."""


class Reach(NamedTuple):
    """How far stages get that take no longer than a time.

    Attributes:
        ends: Farthest boundary of a stage from ``b`` on class ``k`` in way ``w`` at
            ``[w, k, b]``; ``b`` itself where no block fits. Shape ``(4, classes, n)``.
        last: Whether all the rest fits, at ``[entered, k, b]``; shape ``(2, classes, n)``.
        first: The two, for each class that has no wire as first stage: farthest boundary from 0,
            and whether all fits.
    """

    ends: Indices
    last: NDArray[np.bool_]
    first: dict[int, tuple[int, bool]]


class StageTimes:
    """The time that any stage takes, its wire included.

    Args:
        arcs: All stages, as seconds of which the largest counts.
    """

    def __init__(self, arcs: Arcs) -> None:
        self._arcs = arcs
        apart = arcs.group == arcs.n_group
        self._wires = np.array(
            [
                arcs.turn + arcs.enter * (entered | apart) + arcs.leave * (left | apart)
                for entered, left in WAYS
            ]
        )
        self._last_wires = np.array(
            [arcs.turn + arcs.finish + arcs.enter * (entered | apart) for entered in (False, True)]
        )

    def longest(self) -> float:
        """Seconds that no stage exceeds."""
        parts = (self._arcs.inner, self._arcs.last)
        longest = max(float(part[np.isfinite(part)].max(initial=0.0)) for part in parts)
        return longest + float(self._wires.max() + self._last_wires.max())

    def within(self, longest: float) -> Reach:
        """How far stages get in a time, in seconds."""
        arcs, begin = self._arcs, np.arange(self._arcs.n_block)
        ends = np.array(
            [
                begin + (arcs.inner + wire[None, :, None] <= longest).sum(axis=2).T
                for wire in self._wires
            ]
        )
        last = np.array([(arcs.last + wire <= longest).T for wire in self._last_wires])
        first = {
            free: (
                int((arcs.inner[0, free] <= longest).sum()),
                bool(arcs.last[0, free] <= longest),
            )
            for free in arcs.free
        }
        return Reach(ends, last, first)

    def following(self, time: float) -> float:
        """The least time above this one that any stage can take."""
        arcs = self._arcs
        least = np.inf
        for wire in self._wires:
            seconds = arcs.inner + wire[None, :, None]
            least = min(least, float(seconds[seconds > time].min(initial=np.inf)))
        for wire in self._last_wires:
            seconds = arcs.last + wire
            least = min(least, float(seconds[seconds > time].min(initial=np.inf)))
        for free in arcs.free:
            for seconds in (arcs.inner[0, free], arcs.last[:1, free]):
                least = min(least, float(seconds[seconds > time].min(initial=np.inf)))
        return least

    def slowest(self, runs: Sequence[Run]) -> float:
        """Seconds of the slowest stage of a placement."""
        arcs, slowest = self._arcs, 0.0
        for at, run in enumerate(runs):
            k, final = run.class_index, at == len(runs) - 1
            entered = at == 0 or not arcs.beside(runs[at - 1].class_index, k)
            left = final or not arcs.beside(k, runs[at + 1].class_index)
            free = at == 0 and k in arcs.free
            if final:
                wire = self._last_wires[int(entered), k]
                seconds = arcs.last[run.begin, k]
            else:
                wire = self._wires[WAYS.index((entered, left)), k]
                seconds = arcs.inner[run.begin, k, run.end - run.begin - 1]
            slowest = max(slowest, float(seconds + (0.0 if free else wire)))
        return slowest
