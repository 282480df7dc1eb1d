"""A lower bound by the cheapest path, when devices, shared memories and slow stages have prices.

Forget that a device can be used only once, but for the next stage on the same node. A placement is
then a path over the boundaries between blocks: each of its steps is a stage, which fits into
memory, pays its wire, and follows the stage before it as it must. What a path may break has prices:

- Whatever limits which devices are used has the form ``sum_k a[k] used[k] <= b``: there are so many
  devices of a class, so many nodes, or (with ``a = -1``, ``b = -1``) one of some devices must be
  used. With a price ``y >= 0`` for each limit, a stage on class ``k`` pays ``lam[k] = sum y a[k]``.
- A memory that several devices share has a price per byte, ``mu >= 0``, that stages in it pay.
- Where the slowest stage's seconds ``T`` count, and are known to be in a span ``L <= T <= U``,
  stages on class ``k`` pay the share ``w[k] >= 0`` of what theirs are beyond ``L``. On each of its
  ``c[k]`` devices that is at most ``T - L``; so all stages pay at most ``W (T - L)`` together, with
  ``W = sum_k w[k] c[k]``.

With ``H`` the length of the shortest path and ``M`` the bytes of each memory,

    objective  >=  H - sum y b - sum mu M + L - max(0, W - 1) (U - L)

because any placement is such a path; of what it pays besides, no more than ``T - L`` is what it
costs, and the rest is at most what is taken off. That holds for any prices, and is concave in them;
the best prices are worth the linear program over all stages in which every block is covered once
and every limit kept. A bundle method finds them. Where the span's lower end rises by ``d``, stages
that pay ``w[k] d`` for their device instead pay no less than before: so the prices of a span are a
beginning for its parts that is as good there as in the whole.

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
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs
    from hgx.planner.tables import Tables
    from hgx.planner.ways import Ways

    Floats = NDArray[np.float64]

STRIDE = 0.1
"""The first step's length, per slope, as part of the target."""

NEARBY = 0.1
"""The same from prices that are good already, as part of that."""

ACCURACY = 1e-4
"""Part of the target that the prices may be away from the best."""

LEAST_WIDTH = 1e-9
"""A span is taken to be so wide at least, as part of the target."""

STEPS = 150
"""Paths to look for at most."""


class Prices(NamedTuple):
    """What stages pay besides.

    Attributes:
        device: Objective seconds per stage, by class; negative where it must be used.
        pool: Objective seconds per byte, by shared memory.
        slow: Share in the slowest stage's seconds beyond the span's lower end, by class.
    """

    device: Floats
    pool: Floats
    slow: Floats


class Span(NamedTuple):
    """Seconds between which the slowest stage of a placement takes."""

    low: float = 0.0
    high: float = np.inf


class PathBound(NamedTuple):
    """Prices, and the shortest paths that they make.

    Attributes:
        span: What the slowest stage takes.
        vector: All prices, in seconds.
        prices: The same, as stages pay them.
        ahead: See ``hgx.planner.search.walk``.
        taken_off: Seconds by which a placement may be shorter than its path.
    """

    span: Span
    vector: Floats
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
    like: Sequence[PathBound] = (),
) -> PathBound:
    """Look for good prices.

    Args:
        arcs: All stages.
        target: Objective of a known placement, in seconds; infinite where none is known. Placements
            that are worse may be below the bound.
        expired: Returns whether to stop.
        steps: Paths to look for at most.
        span: What the slowest stage of all placements in question takes.
        like: Bounds for spans that have this one in them or are near it; the look begins with the
            best of their prices here.
    """
    market = _Market(arcs, target, span)
    first = market.first(like)
    # Where nothing fits, no prices help.
    if steps > 1 and first.root() < target:
        market.find(first, expired, steps, near=bool(like))
    return market.best


class Tariff:
    """What stages cost with prices, where the slowest one's seconds are in a span.

    Args:
        arcs: All stages.
        span: What the slowest stage takes.

    Attributes:
        beyond: Seconds beyond the span's lower end, of what counts of the slowest; null where
            nothing does.
    """

    def __init__(self, arcs: Arcs, span: Span) -> None:
        self._arcs = arcs
        self._added, self.beyond = arcs.added_ways, None
        if arcs.peaked_ways is not None:
            self._added = arcs.added_ways.within(arcs.peaked_ways, span.high)
            self.beyond = arcs.peaked_ways.beyond(span.low)

    def priced(self, prices: Prices, room: Ways | None = None) -> Ways:
        """Let stages pay prices besides what they cost.

        Args:
            prices: The prices.
            room: What holds the result, if anything does yet.
        """
        cost = self._added.plus(prices.device, self.beyond, prices.slow, room)
        if prices.pool.any():
            per_byte = prices.pool @ self._arcs.tables.pools
            cost = cost.plus(np.zeros(len(per_byte)), self._arcs.byte_ways, per_byte, None)
        return cost


class _Market:
    """All prices as one vector of seconds, and the bound that they make."""

    def __init__(self, arcs: Arcs, target: float, span: Span) -> None:
        tables = arcs.tables
        self._arcs = arcs
        self._span = span
        self._tariff = Tariff(arcs, span)
        self._pools = tables.pools
        self._capacity = np.maximum(tables.pool_capacity, 1.0)
        self._limits, self._allowed = _limits(tables)
        self._target = min(target, _most_seconds(arcs)) or 1.0  # whatever costs nothing at all
        # What is worse than the target is in no question, however slow its slowest stage.
        self._width = max(min(self._target, span.high) - span.low, LEAST_WIDTH * self._target)
        self._value = -np.inf
        self._room: Ways | None = None

    def first(self, like: Sequence[PathBound]) -> PathBound:
        """Make a bound to begin with, and keep it."""
        vectors = [self._again(one) for one in like] or [self._start()]
        self.best = max((self._bound(vector) for vector in vectors), key=PathBound.root)
        return self.best

    def find(
        self, first: PathBound, expired: Callable[[], bool], steps: int, *, near: bool
    ) -> None:
        """Climb, and keep the best."""
        stride = STRIDE * self._target
        climb(
            self._ask,
            first.vector,
            floor=0.0,
            stride=stride,
            first=NEARBY * stride if near else stride,
            accuracy=ACCURACY * self._target,
            most=steps,
            expired=lambda: expired() or self._value >= self._target,
        )

    def _start(self) -> Floats:
        """No prices, and equal shares in the slowest stage."""
        start = np.zeros(len(self._allowed) + len(self._capacity))
        if self._tariff.beyond is None:
            return start
        equal = np.full(len(self._arcs.counts), self._width / self._arcs.counts.sum())
        return np.concatenate((start, equal))

    def _again(self, like: PathBound) -> Floats:
        """The prices of a bound for another span, as a beginning for this one."""
        fixed = like.vector[: len(self._allowed) + len(self._capacity)].copy()
        if self._tariff.beyond is None:
            return fixed
        slow = like.prices.slow
        # The first limits are those of every class.
        moved = fixed[: len(slow)] + slow * (self._span.low - like.span.low)
        fixed[: len(slow)] = np.maximum(0.0, moved)
        return np.concatenate((fixed, slow * self._width))

    def _prices(self, vector: Floats) -> Prices:
        limits, pools = len(self._allowed), len(self._allowed) + len(self._capacity)
        slow = vector[pools:] / self._width
        return Prices(
            vector[:limits] @ self._limits,
            vector[limits:pools] / self._capacity,
            np.zeros(len(self._arcs.counts)) if self._tariff.beyond is None else slow,
        )

    def _bound(self, vector: Floats) -> PathBound:
        arcs, prices = self._arcs, self._prices(vector)
        self._room = self._tariff.priced(prices, self._room)
        self._walk = Walk(arcs, self._room)
        limits = len(self._allowed)
        taken_off = float(vector[:limits] @ self._allowed)
        taken_off += float(vector[limits : limits + len(self._capacity)].sum())
        if self._tariff.beyond is not None:
            shares = float(prices.slow @ arcs.counts)
            taken_off += max(0.0, shares - 1.0) * self._width - self._span.low
        return PathBound(self._span, vector, prices, self._walk.ahead, taken_off)

    def _ask(self, vector: Floats) -> tuple[float, Floats]:
        """The bound and its slope; what is best is kept."""
        bound = self._bound(vector)
        value = float(bound.ahead[0, 0] - bound.taken_off)
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
            if self._tariff.beyond is not None:
                seconds[step.at] += self._tariff.beyond.at(step)
        slope = [self._limits @ used - self._allowed, self._pools @ taken / self._capacity - 1.0]
        if self._tariff.beyond is not None:
            most = self._width if float(bound.prices.slow @ arcs.counts) > 1.0 else 0.0
            slope.append((seconds - arcs.counts * most) / self._width)
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
