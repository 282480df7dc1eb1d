"""Shortest paths over the boundaries between blocks; every step is a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.planner.arcs import Step
from hgx.planner.ways import Way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs
    from hgx.planner.ways import Ways

    Floats = NDArray[np.float64]


class Walk:
    """Shortest paths from every boundary to the end, found from the end.

    Args:
        arcs: All stages.
        cost: What they cost.

    Attributes:
        ahead: Length of the shortest path from each boundary, by where hidden states are (at the
            coordinator first, then with each class of a node that several share), shape ``(classes
            + 1, n)``; infinite where there is none. At the beginning of all, that of a whole
            placement.
    """

    def __init__(self, arcs: Arcs, cost: Ways) -> None:
        self._arcs, self._cost = arcs, cost
        n, members = arcs.n_block, len(arcs.members)
        # What follows a stage that ends at a boundary, in the rows of ``Ways.stages``.
        self._behind = np.full((cost.stages.shape[1], n + arcs.longest + 1), np.inf)
        self._look_ahead()
        self.ahead = np.full((len(arcs.counts) + 1, n), np.inf)
        self.ahead[0] = self._behind[members, :n]
        self.ahead[1 + arcs.members, 1:] = self._behind[:members, 1:n]

    def _look_ahead(self) -> None:
        arcs, cost, behind = self._arcs, self._cost, self._behind
        members, length, least = len(arcs.members), arcs.longest, np.minimum.reduce
        stages, ending, middle, mates = cost.stages, cost.ending, cost.middle, arcs.mates
        entered, wired = slice(members + len(arcs.counts)), slice(members, None)
        handed = slice(members + len(arcs.counts), None)
        on, within = np.empty(stages.shape[1:]), np.empty(middle.shape[1:])
        # What may follow on each member, and on none of them.
        following = np.full(members + 1, np.inf)
        # This loop is where the time of a bound goes: nothing is looked up or made in it twice.
        for begin in range(arcs.n_block - 1, -1, -1):
            ends = slice(begin + 1, begin + 1 + length)
            np.add(stages[begin], behind[:, ends], out=on)
            found = least(on, axis=1)
            np.minimum(found[wired], ending[begin], out=found[wired])
            behind[wired, begin] = least(found[entered])
            if members:
                following[:-1] = found[handed]
                if len(within):
                    np.add(middle[begin], behind[:members, ends], out=within)
                    np.minimum(following[:-1], least(within, axis=1), out=following[:-1])
                behind[:members, begin] = least(following[mates], axis=1)

    def path(self) -> Iterator[Step]:
        """Give the stages of the shortest path; it must be finite."""
        members, step = self._arcs.members, None
        while step is None or not step.final:
            begin = step.end if step else 0
            if step is None or step.left:
                at = int(self._entered(begin).argmin())
            else:
                mates = self._arcs.mates[np.searchsorted(members, step.at)]
                at = int(members[mates[self._handed(begin)[mates].argmin()]])
            step = self._best(at, begin, entered=step is None or step.left)
            yield step

    def _entered(self, begin: int) -> Floats:
        """Length of the path from a boundary on, by the class that has the next stage."""
        stages = self._wired(begin, entered=True)
        if len(self._arcs.members):
            first = self._kept(begin, entered=True).min(axis=1)
            stages[self._arcs.members] = np.minimum(stages[self._arcs.members], first)
        return stages

    def _handed(self, begin: int) -> Floats:
        """The same by the member that takes hidden states over, and of none."""
        stages = self._wired(begin, entered=False)
        if self._cost.middle.shape[1]:
            stages = np.minimum(stages, self._kept(begin, entered=False).min(axis=1))
        return np.append(stages, np.inf)

    def _wired(self, begin: int, *, entered: bool) -> Floats:
        """The same with a stage that goes back over the wire, or is the last."""
        last = self._cost.of(Way(entered, left=True, final=True))[begin]
        return np.minimum(self._back(begin, entered=entered).min(axis=1), last)

    def _back(self, begin: int, *, entered: bool) -> Floats:
        """The same with a stage that goes back over the wire, by its length."""
        stages = self._cost.of(Way(entered, left=True, final=False))[begin]
        members = len(self._arcs.members)
        return stages + self._behind[members, begin + 1 : begin + 1 + self._arcs.longest]

    def _kept(self, begin: int, *, entered: bool) -> Floats:
        """The same with a member's stage that is handed on."""
        stages = self._cost.of(Way(entered, left=False, final=False))[begin]
        members = len(self._arcs.members)
        return stages + self._behind[:members, begin + 1 : begin + 1 + self._arcs.longest]

    def _best(self, at: int, begin: int, *, entered: bool) -> Step:
        """The best stage of a class at a boundary."""
        n, members = self._arcs.n_block, self._arcs.members
        row = at if entered else int(np.searchsorted(members, at))
        last = self._cost.of(Way(entered, left=True, final=True))[begin, row]
        found = [(float(last), Step(at, begin, n, entered, left=False, final=True))]
        ways = [(True, self._back(begin, entered=entered)[row])]
        if at in members and (entered or self._cost.middle.shape[1]):
            kept = self._kept(begin, entered=entered)[np.searchsorted(members, at)]
            ways.append((False, kept))
        for left, seconds in ways:
            length = int(seconds.argmin())
            step = Step(at, begin, begin + length + 1, entered, left=left, final=False)
            found.append((float(seconds[length]), step))
        return min(found, key=lambda one: one[0])[1]
