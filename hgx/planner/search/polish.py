"""Local search: a placement made better by exchanging devices, as long as that helps.

A sequence of devices, each with one block at least, has a best split, which one pass finds. The
passes from the front and from the back, kept for every position, tell what any device would do at
any place at once: with ``F[i][b]`` the least seconds of the first ``b`` blocks on the first ``i``
devices, and ``G[i][b]`` of all blocks from ``b`` on the devices from ``i`` on, device ``k`` between
them gives the least of ``F[i][b] + stage[k](b, e) + G[i][e]``. So one device is taken out, and
whichever fits best is put in, anywhere; two are exchanged by doing it twice. It proves nothing, and
is for fleets that are too large to be searched through.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.search.found import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs, Cost

    Floats = NDArray[np.float64]

WORTHWHILE = 1e-9
KICKED = 3
"""Devices that are exchanged at random where nothing helps any more."""


class Polished(NamedTuple):
    """A placement.

    Attributes:
        objective: In seconds; infinite where nothing fits.
        runs: Its stages, in pipeline order.
    """

    objective: float
    runs: tuple[Run, ...]


def polish(
    arcs: Arcs,
    cost: Cost,
    runs: Sequence[Run],
    expired: Callable[[], bool],
    *,
    good_enough: float = 0.0,
    kicks: int = 0,
    draw: random.Random | None = None,
) -> Polished:
    """Make a placement better; stages add up, and no memory is shared.

    Args:
        arcs: All stages.
        cost: What they cost.
        runs: The placement.
        expired: Returns whether to stop.
        good_enough: Objective in seconds at which to stop.
        kicks: How often to start anew from a changed placement at most.
        draw: Changes placements.
    """
    desk = _Desk(arcs, cost)
    draw = draw or random.Random(0)  # noqa: S311 - the same question shall have the same answer
    best = current = desk.improved([run.class_index for run in runs], expired)
    for _ in range(kicks):
        if best.seconds <= good_enough * (1 + WORTHWHILE) or expired():
            break
        kicked = desk.kicked(current.order, draw)
        if kicked is None:
            break
        current = desk.improved(kicked, expired)
        if current.seconds < best.seconds * (1 - WORTHWHILE):
            best = current
        elif current.seconds > best.seconds * 1.01:
            current = best
    runs_of = desk.split(best.order) if np.isfinite(best.seconds) else ()
    return Polished(best.seconds, runs_of)


class _Sequence(NamedTuple):
    """Classes in pipeline order, and the seconds of their best split."""

    order: tuple[int, ...]
    seconds: float


class _Passes(NamedTuple):
    """Least seconds without wires, from the front and from the back, by position."""

    front: list[Floats]
    back: list[Floats]


class _Desk:
    """Sequences of devices and what they cost."""

    def __init__(self, arcs: Arcs, cost: Cost) -> None:
        self._arcs, self._cost = arcs, cost
        self._ends = np.minimum(arcs.ends, arcs.n_block)
        n, length = arcs.n_block, arcs.longest
        # Seconds of a stage of l + 1 blocks that ends at e, at [k, e, l].
        begins = np.arange(n + 1)[:, None] - np.arange(1, length + 1)[None, :]
        lengths = np.broadcast_to(np.arange(length), begins.shape)
        ending = cost.inner[np.maximum(begins, 0), :, lengths]
        self._ending = np.where((begins >= 0)[:, :, None], ending, np.inf).transpose(2, 0, 1)
        self._begins = np.maximum(begins, 0)
        self._inner = np.ascontiguousarray(cost.inner.transpose(1, 0, 2))

    def improved(self, order: Sequence[int], expired: Callable[[], bool]) -> _Sequence:
        """Exchange devices until no exchange of one helps."""
        current = _Sequence(tuple(order), self.seconds(order))
        if not np.isfinite(current.seconds):  # one more may help where none of these can be spared
            current = self._best_insertion(current.order)
        failed, at = 0, 0
        while failed < len(current.order) and not expired():
            at = at % len(current.order)
            rest = (*current.order[:at], *current.order[at + 1 :])
            found = self._best_insertion(rest)
            if found.seconds < current.seconds * (1 - WORTHWHILE):
                current, failed = found, 0
            else:
                failed, at = failed + 1, at + 1
        added = self._best_insertion(current.order)
        return added if added.seconds < current.seconds * (1 - WORTHWHILE) else current

    def kicked(self, order: Sequence[int], draw: random.Random) -> tuple[int, ...] | None:
        """Put others in the place of some devices; null where there are no others."""
        changed = list(order)
        for _ in range(KICKED):
            spare = self._spare(changed)
            if not len(spare):
                break
            changed[draw.randrange(len(changed))] = int(draw.choice(spare.tolist()))
            a, b = draw.randrange(len(changed)), draw.randrange(len(changed))
            changed[a], changed[b] = changed[b], changed[a]
        return tuple(changed) if changed != list(order) else None

    def seconds(self, order: Sequence[int]) -> float:
        """Objective of the best split of a sequence; infinite where none fits."""
        front = self._start()
        for at in order[:-1]:
            front = self._appended(front, at)
        return float((front[:-1] + self._cost.last[:, order[-1]]).min()) + self._wires(order)

    def split(self, order: Sequence[int]) -> tuple[Run, ...]:
        """Find the best split of a sequence."""
        passes = self._passes(order)
        end = int((passes.front[-2][:-1] + self._cost.last[:, order[-1]]).argmin())
        runs = [Run(order[-1], end, self._arcs.n_block)]
        for position in range(len(order) - 2, -1, -1):
            at = order[position]
            steps = passes.front[position][self._begins[end]] + self._ending[at, end]
            begin = int(self._begins[end, int(steps.argmin())])
            runs.append(Run(at, begin, end))
            end = begin
        return tuple(reversed(runs))

    def _best_insertion(self, order: Sequence[int]) -> _Sequence:
        """Put one more device into a sequence, wherever it is best, or leave it as it is."""
        best = _Sequence(tuple(order), np.inf)
        if order:
            best = _Sequence(tuple(order), self.seconds(order))
        spare = self._spare(order)
        if not len(spare):
            return best
        passes, wires = self._passes(order), self._wires(order)
        for position in range(len(order) + 1):
            front = passes.front[position]
            if position == len(order):
                split = (front[:-1, None] + self._cost.last[:, spare]).min(axis=0)
            else:
                behind = passes.back[position][self._ends]
                split = (
                    (self._inner[spare] + (front[:-1, None] + behind)[None]).min(axis=2).min(axis=1)
                )
            # One more stage costs its turn at least, but for the last, which changes who finishes.
            least = 0.0 if position == len(order) or np.isinf(wires) else wires
            hopeful = np.flatnonzero(split + least < best.seconds)
            for which in hopeful[np.argsort(split[hopeful], kind="stable")]:
                longer = (*order[:position], int(spare[which]), *order[position:])
                total = float(split[which]) + self._longer_wires(wires, order, longer, position)
                if total < best.seconds * (1 - WORTHWHILE):
                    best = _Sequence(longer, total)
        return best

    def _spare(self, order: Sequence[int]) -> NDArray[np.intp]:
        """Classes with a device that the sequence does not use."""
        used = np.bincount(np.array(order, dtype=np.intp), minlength=len(self._arcs.counts))
        return np.flatnonzero(used < self._arcs.counts)

    def _passes(self, order: Sequence[int]) -> _Passes:
        front = [self._start()]
        for at in order:
            front.append(self._appended(front[-1], at))
        n = self._arcs.n_block
        back = [np.full(n + 1, np.inf) for _ in order]
        for position in range(len(order) - 1, -1, -1):
            at = order[position]
            if position == len(order) - 1:
                back[position][:-1] = self._cost.last[:, at]
            else:
                behind = back[position + 1][self._ends]
                back[position][:-1] = (self._inner[at] + behind).min(axis=1)
        return _Passes(front, back)

    def _start(self) -> Floats:
        start = np.full(self._arcs.n_block + 1, np.inf)
        start[0] = 0.0
        return start

    def _appended(self, front: Floats, at: int) -> Floats:
        return (front[self._begins] + self._ending[at]).min(axis=1)

    def _longer_wires(
        self, wires: float, order: Sequence[int], longer: Sequence[int], position: int
    ) -> float:
        """Seconds on the wire of a sequence with a device put in at a position.

        Args:
            wires: Those of the sequence without it.
            order: That sequence.
            longer: The one with it.
            position: Where it is.
        """
        if np.isinf(wires):
            return self._wires(longer)
        before = range(max(0, position - 1), min(len(order), position + 1))
        after = range(max(0, position - 1), min(len(longer), position + 2))
        more = sum(self._wire(longer, at) for at in after)
        return wires + more - sum(self._wire(order, at) for at in before)

    def _wires(self, order: Sequence[int]) -> float:
        """Seconds on the wire of all stages of a sequence; infinite where nobody may begin it."""
        return sum(self._wire(order, position) for position in range(len(order)))

    def _wire(self, order: Sequence[int], position: int) -> float:
        """Seconds on the wire of one stage of a sequence."""
        arcs, cost, at = self._arcs, self._cost, order[position]
        if position == 0 and arcs.opening and at not in arcs.opening:
            return np.inf
        if position == 0 and at in arcs.free:
            return 0.0
        total = float(cost.turn[at])
        if position == 0 or not arcs.beside(order[position - 1], at):
            total += float(cost.enter[at])
        if position == len(order) - 1:
            total += float(cost.finish[at])
        elif not arcs.beside(at, order[position + 1]):
            total += float(cost.leave[at])
        return total
