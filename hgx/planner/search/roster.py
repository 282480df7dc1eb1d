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

Where the slowest stage's seconds count, stages pay their share of them as in
``hgx.planner.search.paths``.

Devices of one far node pay the way to and from it once at least, however many they are. One stage
has the output head: it is the one whose run ends with the last block. Subgradient steps make the
bound tight: a block that the least roster leaves out becomes dearer, one covered twice cheaper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.search.bundle import climb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs, Cost
    from hgx.planner.search.paths import PathBound, Span

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

STRIDE = 1e-3
"""The first step's length, per slope, as part of the target."""

ACCURACY = 5e-5
"""Part of the target that the prices may be away from the best."""

STEPS = 200
"""Rosters to look for at most."""


class RosterBound(NamedTuple):
    """A bound.

    Attributes:
        seconds: Least objective of any placement.
        slow: Share of every class in the slowest stage's seconds with which it is so good.
    """

    seconds: float
    slow: Floats


def roster_bound(
    arcs: Arcs, paths: PathBound, target: float, expired: Callable[[], bool], steps: int = STEPS
) -> RosterBound:
    """Find a bound on the objective of any placement.

    Args:
        arcs: All stages.
        paths: What the slowest stage takes, and where prices begin: of blocks with what each
            shortens the shortest path by, of the slowest stage's seconds with the same.
        target: Objective of a known placement, in seconds.
        expired: Returns whether to stop.
        steps: Rosters to look for at most.

    Returns:
        At least the bound of the paths.
    """
    ahead = np.append(paths.ahead[0], 0.0)
    if not (np.isfinite(ahead).all() and np.isfinite(target)):
        return RosterBound(paths.root(), paths.prices.slow)
    n, rosters = arcs.n_block, _Rosters(arcs, target, paths.span)
    best = RosterBound(paths.root(), paths.prices.slow)

    def ask(vector: Floats) -> tuple[float, Floats]:
        nonlocal best
        slow = vector[n:] / target
        value, slope = rosters.least(vector[:n], slow)
        if value > best.seconds:
            best = RosterBound(value, slow)
        slope[n:] /= target
        return value, slope

    start = np.concatenate((ahead[:-1] - ahead[1:], paths.prices.slow * target))
    if not expired():
        climb(
            ask,
            start,
            floor=np.where(np.arange(len(start)) < n, -np.inf, 0.0),
            stride=STRIDE * target,
            accuracy=ACCURACY * target,
            most=steps,
            expired=lambda: expired() or best.seconds >= target,
        )
    return best


class _Step(NamedTuple):
    """A device of class ``at``, and the least costs before and after it was offered to all."""

    at: int
    before: Floats
    after: Floats


class _Node(NamedTuple):
    """Devices that pay one way to their node and back.

    Attributes:
        nearest: The class whose way that is.
        steps: Its devices, one after the other.
        used: Whether they are used at all.
    """

    nearest: int
    steps: list[_Step]
    used: NDArray[np.bool_]


class _Choice(NamedTuple):
    """A run of a roster: blocks ``begin .. end-1`` on class ``at``, with the head where final."""

    at: int
    begin: int
    end: int
    final: bool


class _Rosters:
    """The least roster for prices."""

    def __init__(self, arcs: Arcs, target: float, span: Span) -> None:
        self._arcs = arcs
        self._span, self._target = span, target
        added = arcs.within(span.high)
        self._added = _with_turns(arcs, added)
        finite = arcs.finite_peaked
        self._peaked = None if finite is None else _with_turns(arcs, finite)
        self._ends = np.minimum(arcs.ends, arcs.n_block)
        n = arcs.n_block
        fits = np.isfinite(added.last[::-1])  # by the number of blocks
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

    def least(self, price: Floats, slow: Floats) -> tuple[float, Floats]:
        """Find the bound for prices, and its slope.

        Args:
            price: Of every block.
            slow: Share of every class in the slowest stage's seconds.
        """
        arcs, n = self._arcs, self._arcs.n_block
        stages = self._added if self._peaked is None else self._added.plus(self._peaked, slow)
        upto = np.concatenate(([0.0], np.cumsum(price)))
        reduced = stages.inner - (upto[self._ends] - upto[:n, None])[:, None, :]
        runs = _Runs(reduced.min(axis=0), (stages.last - (upto[n] - upto[:n])[:, None])[::-1])
        cost = np.full((2, n + 1), np.inf)
        cost[0, 0] = 0.0
        nodes: list[_Node] = []
        ways = stages.enter + stages.leave
        for members in self._nodes:
            nearest = min(members, key=lambda at: float(ways[at]))
            opened, steps = cost + ways[nearest], list[_Step]()
            for at in members:
                longer = self._appended(opened, runs, at)
                steps.append(_Step(at, opened, longer))
                opened = longer
            used = opened < cost
            nodes.append(_Node(nearest, steps, used))
            cost = np.where(used, opened, cost)
        shares = float(slow @ arcs.counts)
        counted = self._span.seconds(shares, self._target)
        given = 0.0 if self._peaked is None else (shares - 1.0) * counted
        value = float(cost[1, n] + upto[n]) - given
        if not np.isfinite(value):
            return value, np.zeros(n + len(slow))
        return value, self._slope(self._chosen(nodes, runs, reduced), counted)

    def _slope(self, roster: Iterable[tuple[int, list[_Choice]]], counted: float) -> Floats:
        """What prices change by: blocks that are left out, and what is paid of the slowest stage.

        Args:
            roster: The least roster.
            counted: What the slowest stage counts as.
        """
        arcs = self._arcs
        blocks, seconds = np.ones(arcs.n_block), -arcs.counts * counted
        for nearest, choices in roster:
            for choice in choices:
                blocks[choice.begin : choice.end] -= 1
            if self._peaked is not None:
                peaked = self._peaked
                seconds[nearest] += peaked.enter[nearest] + peaked.leave[nearest]
                for at, begin, end, final in choices:
                    inner = peaked.inner[begin, at, end - begin - 1] if not final else 0.0
                    seconds[at] += peaked.last[begin, at] if final else inner
        return np.concatenate((blocks, seconds))

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

    def _chosen(
        self, nodes: Sequence[_Node], runs: _Runs, reduced: Floats
    ) -> Iterator[tuple[int, list[_Choice]]]:
        """The least roster: for every node that is used whose way it pays, and its runs."""
        n = self._arcs.n_block
        flag, left = 1, n
        for node in reversed(nodes):
            if not node.used[flag, left]:
                continue
            choices: list[_Choice] = []
            for step in reversed(node.steps):
                if step.after[flag, left] >= step.before[flag, left]:
                    continue
                before = step.before[flag, :left][::-1]  # by the length of the run
                inner = before[: runs.inner.shape[1]] + runs.inner[step.at, :left]
                length, final = int(inner.argmin()) + 1, False
                begin = int(reduced[:, step.at, length - 1].argmin())
                if flag:
                    last = step.before[0, :left][::-1] + runs.last[:left, step.at]
                    if last.min() <= inner.min():
                        length, flag, final = int(last.argmin()) + 1, 0, True
                        begin = n - length
                choices.append(_Choice(step.at, begin, begin + length, final))
                left -= length
            yield node.nearest, choices


def _with_turns(arcs: Arcs, cost: Cost) -> Cost:
    """Costs of stages with what each pays on the wire besides its node's way to and from it."""
    inner = cost.inner + cost.turn[None, :, None]
    last = cost.last + cost.turn + cost.finish - cost.leave
    for at in arcs.free:
        inner[0, at] -= cost.turn[at] + cost.enter[at] + cost.leave[at]
        last[0, at] -= cost.turn[at] + cost.finish[at] + cost.enter[at]
    return cost._replace(inner=inner, last=last)


class _Runs(NamedTuple):
    """Least costs of runs under the prices.

    Attributes:
        inner: Of ``l + 1`` blocks on class ``k`` at ``[k, l]``, wherever they are.
        last: Of the last ``l + 1`` blocks with the head at ``[l, k]``.
    """

    inner: Floats
    last: Floats
