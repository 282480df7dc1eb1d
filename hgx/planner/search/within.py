"""How far a stage gets within a time, on every class of devices and from every boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs

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
        arcs: All stages, of which the slowest one's seconds count.
    """

    def __init__(self, arcs: Arcs) -> None:
        assert arcs.peaked is not None  # noqa: S101 - nothing else is asked for
        self._arcs, self._cost = arcs, arcs.peaked
        apart = arcs.group == arcs.n_group
        cost = self._cost
        self._wires = np.array(
            [
                cost.turn + cost.enter * (entered | apart) + cost.leave * (left | apart)
                for entered, left in WAYS
            ]
        )
        self._last_wires = np.array(
            [cost.turn + cost.finish + cost.enter * (entered | apart) for entered in (False, True)]
        )

    def longest(self) -> float:
        """Seconds that no stage exceeds."""
        longest = max(float(part[np.isfinite(part)].max(initial=0.0)) for part in self._cost[:2])
        return longest + float(self._wires.max() + self._last_wires.max())

    def within(self, longest: float) -> Reach:
        """How far stages get in a time, in seconds."""
        cost, begin = self._cost, np.arange(self._arcs.n_block)
        ends = np.array(
            [
                begin + (cost.inner + wire[None, :, None] <= longest).sum(axis=2).T
                for wire in self._wires
            ]
        )
        last = np.array([(cost.last + wire <= longest).T for wire in self._last_wires])
        first = {
            free: (
                int((cost.inner[0, free] <= longest).sum()),
                bool(cost.last[0, free] <= longest),
            )
            for free in self._arcs.free
        }
        return Reach(ends, last, first)

    def following(self, time: float) -> float:
        """The least time above this one that any stage can take."""
        cost, least = self._cost, np.inf
        for wire in self._wires:
            seconds = cost.inner + wire[None, :, None]
            least = min(least, float(seconds[seconds > time].min(initial=np.inf)))
        for wire in self._last_wires:
            seconds = cost.last + wire
            least = min(least, float(seconds[seconds > time].min(initial=np.inf)))
        for free in self._arcs.free:
            for seconds in (cost.inner[0, free], cost.last[:1, free]):
                least = min(least, float(seconds[seconds > time].min(initial=np.inf)))
        return least
