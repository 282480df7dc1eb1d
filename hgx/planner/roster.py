"""A lower bound on the whole: which devices take part, and how many blocks each of them has.

Forget where a stage stands: a *roster* gives every device no stage or one, anywhere in the model,
so that the stages have as many blocks as the model has, but may overlap and leave gaps. Pay each
block ``i`` its price ``pi[i]`` whenever a stage covers it, and take the prices of all blocks off
once. With ``c[k](r)`` the seconds of a run ``r`` on class ``k``,

    cost  >=  sum_i pi[i]  +  min over rosters of  sum over stages (c[k](r) - sum_{i in r} pi[i])

because a placement is a roster whose stages cover every block once, so that what they are paid is
what is taken off. The prices may have any sign. The least roster is exact in which devices are used
and that each is used at most once: with ``phi[k][l]`` the least of ``c - pi`` over all runs of
``l`` blocks, devices come one after the other and add their lengths up, as in a knapsack. That is
what the linear relaxation lacks: a device costs its wire whole, however little it is used.

Devices of one far node pay the way to and from it once at least, however many they are. One stage
has the output head: it is the one whose run ends with the last block. Subgradient steps make the
bound tight: a block that the least roster leaves out becomes dearer, one covered twice cheaper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs
    from hgx.planner.paths import PathBound
    from hgx.planner.tables import Tables

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

PATIENCE, SHORTER = 10, 0.6
MOMENTUM = 0.5
LEAST = 1e-4
ENOUGH = 1e-4
"""The ascent ends where so many steps in a row gain less than this share of the target."""
STALLED = 60


def roster_bound(
    tables: Tables, arcs: Arcs, paths: PathBound, target: float, expired: Callable[[], bool]
) -> float:
    """Find a bound on the objective of any placement.

    Args:
        tables: Stage tables; stages add up.
        arcs: Their stages.
        paths: Where the prices of blocks begin: what a block shortens the shortest path by.
        target: Objective of a known placement, in seconds.
        expired: Returns whether to stop.

    Returns:
        Seconds; at least the bound of the paths.
    """
    ahead = paths.ahead[0]
    if not (np.isfinite(ahead).all() and np.isfinite(target)):
        return paths.root()
    price = ahead[:-1] - ahead[1:]
    rosters = _Rosters(tables, arcs, paths)
    best, best_price, scale, idle = -np.inf, price, 1.0, 0
    direction: Floats | None = None
    mark, since = -np.inf, 0
    while not expired():
        value, cover = rosters.least(price)
        idle = 0 if value > best + 1e-5 * target else idle + 1
        if value > best:
            best, best_price = value, price
        since += 1
        if best > mark + ENOUGH * target:
            mark, since = best, 0
        if since >= STALLED or best >= target:
            break
        slope = 1.0 - cover
        direction = slope if direction is None else MOMENTUM * direction + (1 - MOMENTUM) * slope
        norm = float(direction @ direction)
        if not norm:
            break
        if idle >= PATIENCE:
            scale, idle, price = scale * SHORTER, 0, best_price
        price = price + scale * max(target - value, LEAST * target) / norm * direction
    return max(best, paths.root())


class _Step(NamedTuple):
    """A device of class ``at``, and the least costs before and after it was offered to all."""

    at: int
    before: Floats
    after: Floats


class _Node(NamedTuple):
    """Devices that pay one way to their node and back, and whether they are used at all."""

    steps: list[_Step]
    used: NDArray[np.bool_]


class _Rosters:
    """The least roster for prices of blocks."""

    def __init__(self, tables: Tables, arcs: Arcs, paths: PathBound) -> None:
        self._arcs = arcs
        per_byte = paths.prices.pool @ tables.pools
        self._given = float(paths.prices.pool @ tables.pool_capacity)
        inner = arcs.inner + arcs.turn[None, :, None]
        inner = inner + per_byte[None, :, None] * arcs.bytes[:, None, :]
        last = arcs.last + arcs.turn + arcs.finish - arcs.leave + per_byte * arcs.last_bytes
        for at in arcs.free:
            inner[0, at] -= arcs.turn[at] + arcs.enter[at] + arcs.leave[at]
            last[0, at] -= arcs.turn[at] + arcs.finish[at] + arcs.enter[at]
        self._inner, self._last = inner, last
        self._ends = np.minimum(arcs.ends, arcs.n_block)
        n = arcs.n_block
        fits = np.isfinite(last[::-1])  # by the number of blocks
        self._fitting = np.where(fits.any(axis=0), n - fits[::-1].argmax(axis=0), 0)
        # Where ``l + 1`` blocks fewer stand, behind as many that there are not.
        self._nothing = np.full((2, n), np.inf)
        self._shifts = n + np.arange(n + 1)[None, :] - np.arange(1, n + 1)[:, None]
        self._nodes = list(self._by_node())

    def _by_node(self) -> Iterator[list[int]]:
        """Classes, one entry per device, by the node whose way they share."""
        arcs = self._arcs
        counts = np.minimum(arcs.counts, arcs.n_block).astype(int)
        for group in range(arcs.n_group):
            members = np.flatnonzero(arcs.group == group)
            yield [int(at) for at in members for _ in range(counts[at])]
        for at in np.flatnonzero(arcs.group == arcs.n_group):
            for _ in range(counts[at]):
                yield [int(at)]

    def least(self, price: Floats) -> tuple[float, Floats]:
        """Find the bound for prices, and how often the least roster covers each block."""
        n = self._arcs.n_block
        upto = np.concatenate(([0.0], np.cumsum(price)))
        reduced = self._inner - (upto[self._ends] - upto[:n, None])[:, None, :]
        runs = _Runs(reduced.min(axis=0), (self._last - (upto[n] - upto[:n])[:, None])[::-1])
        cost = np.full((2, n + 1), np.inf)
        cost[0, 0] = 0.0
        nodes: list[_Node] = []
        for members in self._nodes:
            way = float((self._arcs.enter[members] + self._arcs.leave[members]).min())
            opened, steps = cost + way, list[_Step]()
            for at in members:
                longer = self._appended(opened, runs, at)
                steps.append(_Step(at, opened, longer))
                opened = longer
            used = opened < cost
            nodes.append(_Node(steps, used))
            cost = np.where(used, opened, cost)
        value = float(cost[1, n] + upto[n]) - self._given
        if not np.isfinite(value):
            return value, np.ones(n)
        return value, self._cover(nodes, runs, reduced)

    def _appended(self, cost: Floats, runs: _Runs, at: int) -> Floats:
        """Offer one device to every roster.

        Args:
            cost: Least cost by whether the head is placed, and by the number of blocks.
            runs: Least costs of runs.
            at: Class of the device.
        """
        padded = np.concatenate((self._nothing, cost), axis=1)
        inner = padded[:, self._shifts[: runs.inner.shape[1]]] + runs.inner[at][:, None]
        longer = np.minimum(cost, inner.min(axis=1))
        fitting = self._fitting[at]
        if fitting:
            last = padded[0, self._shifts[:fitting]] + runs.last[:fitting, at, None]
            longer[1] = np.minimum(longer[1], last.min(axis=0))
        return longer

    def _cover(self, nodes: list[_Node], runs: _Runs, reduced: Floats) -> Floats:
        n = self._arcs.n_block
        cover = np.zeros(n)
        flag, left = 1, n
        for node in reversed(nodes):
            if not node.used[flag, left]:
                continue
            for step in reversed(node.steps):
                if step.after[flag, left] >= step.before[flag, left]:
                    continue
                before = step.before[flag, :left][::-1]  # by the length of the run
                inner = before[: runs.inner.shape[1]] + runs.inner[step.at, :left]
                length = int(inner.argmin()) + 1
                begin = int(reduced[:, step.at, length - 1].argmin())
                if flag:
                    last = step.before[0, :left][::-1] + runs.last[:left, step.at]
                    if last.min() <= inner.min():
                        length, flag = int(last.argmin()) + 1, 0
                        begin = n - length
                cover[begin : begin + length] += 1
                left -= length
        return cover


class _Runs(NamedTuple):
    """Least costs of runs under the prices.

    Attributes:
        inner: Of ``l + 1`` blocks on class ``k`` at ``[k, l]``, wherever they are.
        last: Of the last ``l + 1`` blocks with the head at ``[l, k]``.
    """

    inner: Floats
    last: Floats
