"""The top of a concave function that is known by its values and slopes: a proximal bundle method.

Every point that was asked gives a plane that the function nowhere rises above. The next point is
where the least of all planes, less the squared distance from the best point so far, is largest;
which is ``centre + stride * (planes' slopes, mixed)``, with the mixture that makes it smallest (the
dual of that problem, whose variables are shares of the planes). What the planes promise there and
what the function then gives tells how far to trust them. See Lemaréchal, Nemirovskii and Nesterov,
"New variants of bundle methods", Mathematical Programming 69 (1995).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

    Ask = Callable[[Floats], tuple[float, Floats]]

ENOUGH, MUCH = 0.1, 0.5
"""Part of what the planes promise that a better point must keep to become the centre; and from
which on the next step may be longer."""

LONGER, SHORTER = 2.0, 0.6

AGAIN = 8.0
"""How much longer the next step may be when short ones promise nothing any more."""

MIXING = 200
"""Mixtures of planes that are looked at for one point at most."""

RIDGE = 1e-12
"""What makes planes with equal slopes differ, as part of the mean square slope."""

HOLDS = 6
"""How often it is looked anew which coordinates are at the floor."""

INEXACT = 0.5
"""Part of the promise by which the mixture may be off."""

SPARE = 20
"""Planes that are kept besides two for every dimension."""


def climb(
    ask: Ask,
    start: Floats,
    *,
    floor: float | Floats,
    stride: float,
    first: float | None = None,
    accuracy: float,
    most: int,
    expired: Callable[[], bool] = lambda: False,
) -> Floats:
    """Find where a concave function is nearly largest.

    Args:
        ask: Returns value and slope at a point.
        start: Where to begin.
        floor: Least value of every coordinate, or of each; it may be infinite.
        stride: Length of steps, as distance per slope, with which the top would be seen.
        first: With which to begin, where the start is near the top; else that length too.
        accuracy: What the planes must promise, as far as a step goes, for another one.
        most: Points to ask at most.
        expired: Returns whether to stop.

    Returns:
        The last centre: no point that was asked is better by a good part of what was promised.
    """
    centre, trusted, stride = start, stride, first or stride
    best, slope = ask(start)
    planes = _Planes(start, best, slope)
    for _ in range(most - 1):
        if expired() or not np.isfinite(best):
            break
        point, promised, settled = planes.next(centre, floor, stride, best, accuracy)
        if promised <= accuracy:
            if not settled:
                stride *= SHORTER
            elif stride < trusted:  # a short step promises little however far the top is
                stride = min(trusted, AGAIN * stride)
            else:
                break
            continue
        value, slope = ask(point)
        planes.add(point, value, slope)
        gained = value - best
        if gained >= ENOUGH * promised:
            centre, best = point, value
            stride *= LONGER if gained >= MUCH * promised else 1.0
        elif gained < -promised:
            stride *= SHORTER
    return centre


class _Planes:
    """Planes above a function: ``heights + slopes @ point``, and their shares in the last step.

    Products are written as sums, and not as products of matrices: for those, numpy wakes threads
    that cost more than they bring, at these sizes and above all where other work goes on.
    """

    def __init__(self, point: Floats, value: float, slope: Floats) -> None:
        self._most = 2 * len(point) + SPARE
        size = self._most + 1
        self._slopes = np.empty((size, len(point)))
        self._heights, self._shares = np.empty(size), np.zeros(size)
        self._count = 0
        # Products of slopes in the coordinates that are not held, as far as they are known.
        self._gram, self._known = np.empty((size, size)), 0
        self._held = np.zeros(len(point), dtype=np.bool_)
        self.add(point, value, slope)
        self._shares[0] = 1.0

    def add(self, point: Floats, value: float, slope: Floats) -> None:
        """Add the plane of a point; where there are too many, leave out what counted least."""
        at = self._count
        height = value - float(slope @ point)
        self._slopes[at], self._heights[at], self._shares[at] = slope, height, 0.0
        self._count += 1
        if self._count > self._most:
            kept = np.sort(np.argsort(-self._shares[:at], kind="stable")[: self._most // 2])
            kept = np.append(kept, at)
            for array in (self._slopes, self._heights, self._shares):
                array[: len(kept)] = array[kept]
            self._count, self._known = len(kept), 0
            self._shares[: self._count] /= self._shares[: self._count].sum()

    def next(
        self, centre: Floats, floor: float | Floats, stride: float, best: float, accuracy: float
    ) -> tuple[Floats, float, bool]:
        """Find the next point to ask, what the planes promise there, and whether that is exact.

        Coordinates at the floor stay there while the others move; then it is seen which ones have
        to be there.
        """
        slopes, heights = self._slopes[: self._count], self._heights[: self._count]
        shares = self._shares[: self._count]
        held = centre + stride * _mean(shares, slopes) <= floor
        point, promised, settled = centre, 0.0, False
        for _ in range(HOLDS):
            resting = np.where(held, floor, centre)
            gram = stride * self._products(held)
            shares = _mixed(gram, heights + _values(slopes, resting), shares)
            wanted = centre + stride * _mean(shares, slopes)
            point = np.maximum(wanted, floor)
            values = heights + _values(slopes, point)
            promised = float(values.min()) - best
            off = float((shares * values).sum() - values.min())
            settled = off <= max(INEXACT * promised, accuracy / 2)
            if settled:
                break
            held = wanted <= floor
        self._shares[: self._count] = shares
        return point, promised, settled

    def _products(self, held: NDArray[np.bool_]) -> Floats:
        """Products of all slopes with each other, without the coordinates that are held."""
        if (held != self._held).any():
            self._held, self._known = held, 0
        if self._known < self._count:
            free = self._slopes[: self._count, ~held]
            rows = np.einsum("ik,jk->ij", free[self._known :], free)
            self._gram[self._known : self._count, : self._count] = rows
            self._gram[: self._count, self._known : self._count] = rows.T
            self._known = self._count
        return self._gram[: self._count, : self._count]


def _values(slopes: Floats, point: Floats) -> Floats:
    return np.einsum("ij,j->i", slopes, point)


def _mean(shares: Floats, slopes: Floats) -> Floats:
    return np.einsum("i,ij->j", shares, slopes)


def _mixed(gram: Floats, height: Floats, shares: Floats) -> Floats:
    """Find the shares that make ``height @ shares + shares @ gram @ shares / 2`` least.

    By Wolfe's method: the best mixture of some planes is a linear system; if a share in it were
    negative, its plane is left out, and if another plane is lower there, it comes in. See Wolfe,
    "Finding the nearest point in a polytope", Mathematical Programming 11 (1976).
    """
    shares = shares.copy()
    active = np.flatnonzero(shares > 0)
    ridge = RIDGE * float(np.trace(gram)) / len(gram) + 1e-300
    for _ in range(MIXING):
        size = len(active)
        system = np.ones((size + 1, size + 1))
        system[:size, :size] = gram[np.ix_(active, active)]
        system[range(size), range(size)] += ridge
        system[size, size] = 0.0
        wanted = np.linalg.solve(system, np.append(-height[active], 1.0))[:size]
        now = shares[active]
        negative = wanted < 0
        if negative.any():
            steps = now[negative] / (now[negative] - wanted[negative])
            now = np.maximum(now + steps.min() * (wanted - now), 0.0)
            now[np.flatnonzero(negative)[steps.argmin()]] = 0.0
            shares[active] = now
            active = active[now > 0]
            continue
        shares[active] = wanted
        values = height + _values(gram, shares)
        lowest = int(values.argmin())
        if lowest in active:
            break
        active = np.append(active, lowest)
    return shares / shares.sum()
