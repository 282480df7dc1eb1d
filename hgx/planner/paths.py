"""A lower bound for every state of a search: the cheapest path when devices have prices.

Forget that a device can be used only once. A placement is then a path over the boundaries between
blocks: each of its steps is a stage, which fits into memory, pays its wire, and follows the stage
before it as it must. Let a stage on a device of class ``k`` pay a price ``lam[k] >= 0`` besides.
With ``c[k]`` devices of the class unused, and ``H[b]`` the length of the shortest path from
boundary ``b`` to the end,

    what is left to pay  >=  H[b] - sum_k lam[k] c[k]

because any placement of the rest is such a path, and pays the price of a class at most ``c[k]``
times. A memory that several devices share has a price per byte, ``mu >= 0``, that all stages in it
pay; its room times the price is taken off as long as one of its devices is unused.

That holds for any prices, and the best of them give as much as the linear program over all stages
in which every block is covered once and every device used once. Subgradient steps come near: a
price rises where the shortest path uses a class more often than there are devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.layer import CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs
    from hgx.planner.tables import Tables

    Floats = NDArray[np.float64]

PATIENCE, SHORTER = 8, 0.6
"""After so many steps without progress, steps begin at the best prices again and are shorter."""

MOMENTUM = 0.7
"""Share of the last direction in the next one, against going to and fro."""

LEAST = 1e-4
"""Steps aim at least this share of the target above what is reached."""


class Prices(NamedTuple):
    """What stages pay besides.

    Attributes:
        device: Objective seconds per stage, by class.
        pool: Objective seconds per byte, by shared memory.
    """

    device: Floats
    pool: Floats


class PathBound(NamedTuple):
    """A bound for every state of a search.

    Attributes:
        ahead: Length of the shortest path from each boundary, by mode (closed first, then the
            groups), shape ``(modes, n + 1)``; 0 at the end.
        start: The same from the very beginning.
        prices: What the path pays.
        pools: Which classes share a memory, shape ``(pools, classes)``.
        pool_capacity: Bytes of each memory.
        counts: Devices per class.
    """

    ahead: Floats
    start: float
    prices: Prices
    pools: Floats
    pool_capacity: Floats
    counts: Floats

    def rest(self, used: Floats, mode: NDArray[np.int16]) -> Floats:
        """Least seconds still to pay from each block on.

        Args:
            used: Devices used of each class, shape ``(states, classes)``.
            mode: Of each state, shape ``(states,)``.

        Returns:
            Shape ``(states, n + 1)``, indexed by the first block that is not placed yet.
        """
        credit = self._credit(self.counts[None, :] - used)
        return np.maximum(self.ahead[mode - CLOSED] - credit[:, None], 0.0)

    def root(self) -> float:
        """Least objective of any placement, in seconds."""
        return max(0.0, self.start - float(self._credit(self.counts[None, :])[0]))

    def _credit(self, unused: Floats) -> Floats:
        shared = (unused @ self.pools.T > 0) @ (self.prices.pool * self.pool_capacity)
        return unused @ self.prices.device + shared


def path_bound(
    tables: Tables,
    arcs: Arcs,
    prices: Prices,
    target: float,
    steps: int,
    *,
    expired: Callable[[], bool] = lambda: False,
) -> PathBound:
    """Look for good prices.

    Args:
        tables: Stage tables; stages add up.
        arcs: Their stages.
        prices: Where to begin.
        target: Objective of a known placement, in seconds; guides the size of the steps.
        steps: Steps at most.
        expired: Returns whether to stop.
    """
    return _Ascent(tables, arcs).run(prices, target, steps, expired)


class _Ascent:
    """Shortest paths, and steps towards prices that make them long."""

    def __init__(self, tables: Tables, arcs: Arcs) -> None:
        self._arcs = arcs
        self._pools = tables.pools
        self._capacity = tables.pool_capacity

    def run(
        self, prices: Prices, target: float, steps: int, expired: Callable[[], bool]
    ) -> PathBound:
        walk = _Walk(self._arcs, prices, self._pools)
        best = found = self._bound(walk, prices)
        value, scale, idle = best.root(), 1.0, 0
        direction: Floats | None = None
        for _ in range(steps if np.isfinite(target) else 0):
            if not np.isfinite(walk.start) or value >= target or expired():
                break
            slope = self._slope(walk, prices)
            direction = (
                slope if direction is None else MOMENTUM * direction + (1 - MOMENTUM) * slope
            )
            norm = float(direction @ direction)
            if not norm:
                break
            gap = max(target - found.root(), LEAST * target)
            prices = self._moved(prices, scale * gap / norm * direction)
            walk = _Walk(self._arcs, prices, self._pools)
            found = self._bound(walk, prices)
            idle = 0 if found.root() > value * (1 + 1e-6) else idle + 1
            if found.root() > value:
                best, value = found, found.root()
            if idle >= PATIENCE:
                scale, idle, prices = scale * SHORTER, 0, best.prices
        return best

    def _slope(self, walk: _Walk, prices: Prices) -> Floats:
        """By how much the path uses too much: devices, then memories as shares of their room."""
        used, taken = walk.usage()
        excess = used - self._arcs.counts
        pooled = (self._pools @ taken - self._capacity) / np.maximum(self._capacity, 1.0)
        slope = np.concatenate((excess, pooled))
        at_floor = np.concatenate((prices.device, prices.pool)) <= 0
        return np.where(at_floor & (slope < 0), 0.0, slope)

    def _moved(self, prices: Prices, step: Floats) -> Prices:
        classes = len(prices.device)
        per_byte = step[classes:] / np.maximum(self._capacity, 1.0)
        return Prices(
            np.maximum(0.0, prices.device + step[:classes]),
            np.maximum(0.0, prices.pool + per_byte),
        )

    def _bound(self, walk: _Walk, prices: Prices) -> PathBound:
        ahead = walk.ahead.copy()
        ahead[0, 0] = walk.start  # nothing but the beginning of all stands there
        ahead[:, -1] = 0.0
        return PathBound(ahead, walk.start, prices, self._pools, self._capacity, self._arcs.counts)


class _Walk:
    """Shortest paths from every boundary to the end, found from the end.

    Attributes:
        ahead: See ``PathBound``; infinite at the end, where no stage can begin.
        start: See ``PathBound``.
    """

    def __init__(self, arcs: Arcs, prices: Prices, pools: Floats) -> None:
        self._arcs = arcs
        n, length = arcs.n_block, arcs.longest
        per_byte = prices.pool @ pools
        self._inner, self._last = arcs.inner, arcs.last + arcs.finish
        if per_byte.any():
            self._inner = self._inner + per_byte[None, :, None] * arcs.bytes[:, None, :]
            self._last = self._last + per_byte * arcs.last_bytes
        self._toll = arcs.turn + prices.device
        self.ahead = np.full((arcs.n_group + 1, n + 1), np.inf)
        # What follows a stage of each class that ends at a boundary, its way back included.
        self._after = np.full((len(arcs.counts), n + length + 1), np.inf)
        for begin in range(n - 1, -1, -1):
            self._look_ahead(begin)
        self._first = self._stages(0) + arcs.enter
        for free in arcs.free:
            self._first[free] = self._free_first(prices.device, free)
        if arcs.opening:
            others = np.ones(len(self._first), dtype=np.bool_)
            others[list(arcs.opening)] = False
            self._first[others] = np.inf
        self.start = float(self._first.min())

    def _look_ahead(self, begin: int) -> None:
        arcs = self._arcs
        stages = self._stages(begin)
        closed = float((stages + arcs.enter).min())
        self.ahead[0, begin] = closed
        after = arcs.leave + closed
        if arcs.n_group:
            members, starts = arcs.crowded
            inside = np.minimum.reduceat(stages[members], starts)
            self.ahead[1:, begin] = inside
            after[members] = np.minimum(after[members], inside[arcs.group[members]])
        self._after[:, begin] = after

    def _stages(self, begin: int) -> Floats:
        """Least seconds from a boundary on with a stage of each class first, not entered yet."""
        on = self._after[:, begin + 1 : begin + 1 + self._arcs.longest]
        going_on = (self._inner[begin] + on).min(axis=1)
        return np.minimum(going_on, self._last[begin]) + self._toll

    def _free_first(self, device: Floats, free: int) -> float:
        inner = (self._inner[0, free] + self._beyond()).min()
        last = self._last[0, free] - self._arcs.finish[free]
        return float(min(inner, last) + device[free])

    def _beyond(self) -> Floats:
        """Least seconds from behind the first ``l + 1`` blocks on, without a wire back."""
        ends = self._arcs.ends[0]
        ahead = self.ahead[0, np.minimum(ends, self._arcs.n_block)]
        return np.where(ends < self._arcs.n_block, ahead, np.inf)

    def usage(self) -> tuple[Floats, Floats]:
        """How often the shortest path uses each class, and the bytes it puts there."""
        arcs, n = self._arcs, self._arcs.n_block
        used, taken = np.zeros(len(arcs.counts)), np.zeros(len(arcs.counts))
        begin, at = 0, int(self._first.argmin())
        free = at in arcs.free
        while True:
            used[at] += 1
            inner, last = self._steps(begin, at, free=free)
            length = int(inner.argmin())
            if last <= inner[length]:
                taken[at] += arcs.last_bytes[begin, at]
                return used, taken
            taken[at] += arcs.bytes[begin, length]
            begin += length + 1
            inside = 1 + int(arcs.group[at])
            stay = (
                not free
                and inside <= arcs.n_group
                and self.ahead[inside, begin] < arcs.leave[at] + self.ahead[0, begin]
            )
            stages = self._stages(begin)
            if stay:
                stages = np.where(arcs.group == arcs.group[at], stages, np.inf)
            else:
                stages = stages + arcs.enter
            free = False
            at = int(stages.argmin())
            if begin >= n:
                raise AssertionError  # a stage that is not the last ends before the end

    def _steps(self, begin: int, at: int, *, free: bool) -> tuple[Floats, float]:
        """Seconds from a boundary on with a stage of a class, by its length, and as the last."""
        inner, last = self._inner[begin, at], float(self._last[begin, at])
        if free:
            return inner + self._beyond(), last - float(self._arcs.finish[at])
        return inner + self._after[at, begin + 1 : begin + 1 + self._arcs.longest], last
