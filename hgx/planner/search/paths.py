"""A lower bound by the cheapest path, when devices, shared memories and slow stages have prices.

Forget that a device can be used only once. A placement is then a path over the boundaries between
blocks: each of its steps is a stage, which fits into memory, pays its wire, and follows the stage
before it as it must. What a path may break has prices:

- Whatever limits which devices are used has the form ``sum_k a[k] used[k] <= b``: there are so many
  devices of a class, so many nodes, or (with ``a = -1``, ``b = -1``) one of some devices must be
  used. With a price ``y >= 0`` for each limit, a stage on class ``k`` pays ``lam[k] = sum y a[k]``.
- A memory that several devices share has a price per byte, ``mu >= 0``, that stages in it pay.
- Where the slowest stage's seconds ``T`` count, stages on class ``k`` pay the share ``w[k] >= 0``
  of theirs in ``T``. With ``c[k]`` devices, these are at most ``c[k] T`` together; so all of them
  pay at most ``W T`` together, ``W = sum_k w[k] c[k]``.

With ``H`` the length of the shortest path, ``M`` the bytes of each memory, and ``L <= T <= U``,

    objective  >=  H - sum y b - sum mu M + max(0, 1 - W) L - max(0, W - 1) U

because any placement is such a path, and what it pays besides is at most what is taken off. That
holds for any prices, and is concave in them; the best prices are worth the linear program over all
stages in which every block is covered once and every limit kept. A bundle method finds them.

The same prices make a bound for every beginning of a path: what it has paid, and the shortest path
from there on.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.search.bundle import climb
from hgx.planner.search.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs, Cost
    from hgx.planner.tables import Tables

    Floats = NDArray[np.float64]

STRIDE = 0.1
"""The first step's length, per slope, as part of the target."""

ACCURACY = 1e-5
"""Part of the target that the prices may be away from the best."""

STEPS = 150
"""Paths to look for at most."""


class Prices(NamedTuple):
    """What stages pay besides.

    Attributes:
        device: Objective seconds per stage, by class; negative where it must be used.
        pool: Objective seconds per byte, by shared memory.
        slow: Share in the slowest stage's seconds, by class.
    """

    device: Floats
    pool: Floats
    slow: Floats


class Span(NamedTuple):
    """Seconds between which the slowest stage of a placement takes."""

    low: float = 0.0
    high: float = np.inf

    def seconds(self, shares: float, target: float) -> float:
        """What the slowest stage counts as, where all devices pay so many shares of its seconds.

        With less than one share, what is left unpaid is worth the least that it can take; with
        more, what is paid too much is the most that it can take in anything below the target.
        """
        return min(target, self.high) if shares > 1.0 else self.low


class PathBound(NamedTuple):
    """Prices, and the shortest paths that they make.

    Attributes:
        span: What the slowest stage takes.
        vector: All prices, in seconds, as a beginning for others with the same target.
        cost: What stages cost, all prices but those of classes included.
        prices: The prices.
        ahead: See ``hgx.planner.search.walk``.
        taken_off: Seconds by which a placement may be shorter than its path.
    """

    span: Span
    vector: Floats
    cost: Cost
    prices: Prices
    ahead: Floats
    taken_off: float

    def root(self) -> float:
        """Least objective of any placement, in seconds; infinite where nothing fits."""
        return float(max(0.0, self.ahead[0, 0] - self.taken_off))


ANY = Span()
"""Whatever it takes."""


def path_bound(
    arcs: Arcs,
    target: float,
    expired: Callable[[], bool] = lambda: False,
    *,
    steps: int = STEPS,
    span: Span = ANY,
    like: PathBound | None = None,
) -> PathBound:
    """Look for good prices.

    Args:
        arcs: All stages.
        target: Objective of a known placement, in seconds; infinite where none is known. Placements
            that are worse may be below the bound.
        expired: Returns whether to stop.
        steps: Paths to look for at most.
        span: What the slowest stage of all placements in question takes.
        like: A bound with the same target, with whose prices to begin.
    """
    market = _Market(arcs, target, span, like)
    if steps > 1:
        market.find(expired, steps)
    return market.best


class _Market:
    """All prices as one vector of seconds, and the bound that they make."""

    def __init__(self, arcs: Arcs, target: float, span: Span, like: PathBound | None) -> None:
        tables = arcs.tables
        self._arcs = arcs
        self._span = span
        self._pools = tables.pools
        self._capacity = np.maximum(tables.pool_capacity, 1.0)
        self._limits, self._allowed = _limits(tables)
        self._slow = arcs.finite_peaked
        self._added = arcs.within(span.high)
        self._target = min(target, _most_seconds(arcs)) or 1.0  # whatever costs nothing at all
        self._value = -np.inf
        self._first = self._start() if like is None else like.vector
        self.best = self._bound(self._first)

    def find(self, expired: Callable[[], bool], steps: int) -> None:
        """Climb, and keep the best."""
        climb(
            self._ask,
            self._first,
            floor=0.0,
            stride=STRIDE * self._target,
            accuracy=ACCURACY * self._target,
            most=steps,
            expired=lambda: expired() or self._value >= self._target,
        )

    def _start(self) -> Floats:
        """No prices, and equal shares in the slowest stage."""
        start = np.zeros(len(self._allowed) + len(self._capacity))
        if self._slow is None:
            return start
        equal = np.full(len(self._arcs.counts), self._target / self._arcs.counts.sum())
        return np.concatenate((start, equal))

    def _prices(self, vector: Floats) -> Prices:
        limits, pools = len(self._allowed), len(self._allowed) + len(self._capacity)
        slow = vector[pools:] / self._target
        return Prices(
            vector[:limits] @ self._limits,
            vector[limits:pools] / self._capacity,
            slow if self._slow is not None else np.zeros(len(self._arcs.counts)),
        )

    def _bound(self, vector: Floats) -> PathBound:
        arcs, prices = self._arcs, self._prices(vector)
        cost = self._added
        if self._slow is not None:
            cost = cost.plus(self._slow, prices.slow)
        if prices.pool.any():
            per_byte = prices.pool @ self._pools
            cost = cost._replace(
                inner=cost.inner + per_byte[None, :, None] * _finite(arcs.bytes)[:, None, :],
                last=cost.last + per_byte * _finite(arcs.last_bytes),
            )
        walk = Walk(arcs, cost, prices.device)
        self._walk = walk
        shares = float(prices.slow @ arcs.counts)
        kept = (shares - 1.0) * self._span.seconds(shares, self._target)
        limits = len(self._allowed)
        pooled = vector[limits : limits + len(self._capacity)].sum()
        kept = kept if self._slow is not None else 0.0
        taken_off = float(vector[:limits] @ self._allowed + pooled + kept)
        return PathBound(self._span, vector, cost, prices, walk.ahead, taken_off)

    def _ask(self, vector: Floats) -> tuple[float, Floats]:
        """The bound and its slope; what is best is kept."""
        bound = self._bound(vector)
        value = float(bound.ahead[0, 0] - bound.taken_off)
        if not np.isfinite(value):
            self.best = bound
            return value, np.zeros(len(vector))
        if value > self._value:
            self.best, self._value = bound, value
        return value, self._slope(bound)

    def _slope(self, bound: PathBound) -> Floats:
        """What prices change by: how much the shortest path takes too much of each thing."""
        arcs = self._arcs
        used, taken, seconds = (np.zeros(len(arcs.counts)) for _ in range(3))
        for step in self._walk.path():
            used[step.at] += 1
            if len(self._capacity):
                taken[step.at] += (
                    arcs.last_bytes[step.begin, step.at]
                    if step.final
                    else arcs.bytes[step.begin, step.end - step.begin - 1]
                )
            if self._slow is not None:
                seconds[step.at] += self._slow.of(step, free=arcs.is_free(step))
        slope = [self._limits @ used - self._allowed, self._pools @ taken / self._capacity - 1.0]
        if self._slow is not None:
            counted = self._span.seconds(float(bound.prices.slow @ arcs.counts), self._target)
            slope.append((seconds - arcs.counts * counted) / self._target)
        return np.concatenate(slope)


def _limits(tables: Tables) -> tuple[Floats, Floats]:
    """What limits the devices that are used: ``matrix @ used <= allowed``."""
    classes = len(tables.classes)
    matrix = [np.eye(classes), -tables.required.astype(np.float64).reshape(-1, classes)]
    allowed = [[float(len(one.devices)) for one in tables.classes], [-1.0] * len(tables.required)]
    if tables.most_away is not None:
        # Of a node with several devices each counts as a part of it: all of them are the node.
        devices = Counter[int]()
        for one in tables.classes:
            devices[one.group] += len(one.devices)
        parts = [one.away / (devices[one.group] if one.group >= 0 else 1) for one in tables.classes]
        matrix.append(np.array([parts]))
        allowed.append([float(tables.most_away)])
    return np.concatenate(matrix), np.concatenate(allowed)


def _finite(sizes: Floats) -> Floats:
    """Sizes, with nothing in place of those that fit nowhere."""
    return np.where(np.isfinite(sizes), sizes, 0.0)


def _most_seconds(arcs: Arcs) -> float:
    """Seconds that no placement exceeds: every device has its longest stage, or the head."""
    most = 0.0
    for cost in (arcs.added, arcs.peaked):
        if cost is not None:
            wires = cost.turn + cost.enter + cost.leave + cost.finish
            inner = _finite(cost.inner).max(axis=(0, 2))
            longest = np.maximum(inner, _finite(cost.last).max(axis=0))
            most += float((longest + wires) @ arcs.counts)
    return most
