"""The exact solver: searches of growing width, and branching where devices share one memory.

The search knows the memory of each device by itself. Where several devices share one (a CPU and
a GPU with unified memory), it may take more than there is. Then two smaller problems are
searched instead: one where a device of the pool takes at most ``v`` bytes, and one where it takes
more, so that the others take at most what is left. Every placement that keeps the pool's limit is
in one of them, and the one that broke it is in neither. Sizes are rounded to those that some
stage really has, so that branching ends.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.bound import lower_bound
from hgx.planner.constraints import bytes_short, device_limits
from hgx.planner.placement import price
from hgx.planner.problem import Pool
from hgx.planner.search import WORTHWHILE, Found, Search
from hgx.planner.tables import build_tables, stage_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hgx.planner.placement import Placement, PricedStage
    from hgx.planner.problem import Problem
    from hgx.planner.search import Reporter, Run
    from hgx.planner.tables import Tables

WIDTHS = (32, 1024, 16384)
"""States kept per layer: a narrow search finds a good answer, a wide one proves it."""


class Outcome(NamedTuple):
    """What is known at the end.

    Attributes:
        objective: Seconds of the best placement found; infinite when none beats the target.
        placement: That placement, or nothing.
        bound: No placement has an objective below ``min(bound, objective, target)``.
        states: Search states opened.
    """

    objective: float
    placement: Placement
    bound: float
    states: int


class _Branch(NamedTuple):
    """A part of all placements: limits per device, and memories that devices share."""

    limits: Mapping[str, float]
    pools: tuple[Pool, ...]


def solve_exactly(
    problem: Problem,
    target: float,
    expired: Callable[[], bool],
    reporter: Reporter | None = None,
) -> Outcome:
    """Find the best placement below a known objective, or prove that there is none.

    Args:
        problem: The problem.
        target: Objective to beat, in seconds; infinite when none is known.
        expired: Returns whether to stop.
        reporter: Watches the searches.
    """
    return _Solver(problem, target, expired, reporter).run()


class _Solver:
    """Best-first search over branches."""

    def __init__(
        self,
        problem: Problem,
        target: float,
        expired: Callable[[], bool],
        reporter: Reporter | None,
    ) -> None:
        self._problem = problem
        self._expired = expired
        self._reporter = reporter
        self._best = target
        self._placement: Placement = ()
        self._states = 0

    def run(self) -> Outcome:
        shared = tuple(pool for pool in self._problem.pools if len(pool.devices) > 1)
        serial = count()
        queue = [(0.0, next(serial), _Branch(device_limits(self._problem), shared))]
        proven = np.inf
        while queue:
            floor, _, branch = heapq.heappop(queue)
            if floor >= self._best * (1 - WORTHWHILE):
                break
            if self._expired():
                proven = min(proven, floor)
                break
            bound, stages = self._search(branch, WIDTHS)
            floor = max(floor, bound)
            broken = None if stages is None else _broken_pool(branch.pools, stages)
            if stages is None or broken is None:
                proven = min(proven, floor)
                continue
            self._repair(branch, stages)
            for child in self._split(branch, broken, stages):
                if not bytes_short(self._problem, child.limits, child.pools):
                    heapq.heappush(queue, (floor, next(serial), child))
        proven = min([proven, *(floor for floor, _, _ in queue)])
        objective = self._best if self._placement else np.inf
        return Outcome(objective, self._placement, min(proven, self._best), self._states)

    def _search(
        self, branch: _Branch, widths: tuple[int, ...]
    ) -> tuple[float, list[PricedStage] | None]:
        """Search one branch with growing width, until it is proven or time is up.

        What is found becomes the incumbent if it keeps the limits of the shared memories.

        Returns:
            A bound for the branch, and its best placement when that beats the incumbent.
        """
        tables = build_tables(self._problem, branch.limits, branch.pools)
        if not tables.classes:
            return np.inf, None
        prices = lower_bound(tables, self._best)
        root = prices.root()
        if root >= self._best:
            return root, None
        best = Found(np.inf, (), root, 0)
        for width in widths:
            search = Search(tables, prices, self._expired, self._reporter)
            found = search.run(min(self._best, best.objective), width)
            self._states += found.states
            best = Found(
                min(found.objective, best.objective),
                found.runs or best.runs,
                max(best.bound, found.bound),
                0,
            )
            if best.bound >= min(self._best, best.objective) * (1 - WORTHWHILE) or self._expired():
                break
        if not best.runs:
            return best.bound, None
        stages = price(self._problem, _named(tables, best.runs), branch.limits)
        if _broken_pool(self._problem.pools, stages) is None:
            self._best, self._placement = best.objective, _placement(stages)
        return best.bound, stages

    def _repair(self, branch: _Branch, stages: list[PricedStage]) -> None:
        """Look for an incumbent that divides shared memories as a broken placement did."""
        taken = {stage.slot.device: stage.memory.total_bytes for stage in stages}
        limits = dict(branch.limits)
        for pool in branch.pools:
            used = {device: taken.get(device, 0) for device in pool.devices}
            total = sum(used.values()) or 1
            for device, size in used.items():
                limits[device] = min(limits[device], pool.capacity * size / total)
        self._search(_Branch(limits, ()), WIDTHS[:1])

    def _split(
        self, branch: _Branch, pool: Pool, stages: list[PricedStage]
    ) -> tuple[_Branch, _Branch]:
        """Divide the placements so that none takes from the pool what this one took."""
        taken = {
            stage.slot.device: stage.memory.total_bytes
            for stage in stages
            if stage.slot.device in pool.devices
        }
        largest = max(taken, key=lambda device: (taken[device], device))
        excess = sum(taken.values()) - pool.capacity
        at = bisect_right(self._sizes, taken[largest] - excess / 2)
        most = self._sizes[at - 1] if at else 0.0
        more = self._sizes[at] if at < len(self._sizes) else np.inf
        others = pool.devices - {largest}
        left = max(0.0, pool.capacity - more)
        less, rest = dict(branch.limits), dict(branch.limits)
        less[largest] = min(less[largest], most)
        for device in others:
            rest[device] = min(rest[device], left)
        pools = branch.pools if len(others) == 1 else (*branch.pools, Pool(others, left))
        return _Branch(less, branch.pools), _Branch(rest, pools)

    @cached_property
    def _sizes(self) -> list[float]:
        """All sizes in bytes that a stage can have, ascending."""
        inner, last = stage_bytes(self._problem.footprint)
        on_host = last - self._problem.footprint.shared_head
        sizes = np.unique(np.concatenate((inner.ravel(), last, on_host)))
        return sizes[np.isfinite(sizes)].tolist()


def _named(tables: Tables, runs: tuple[Run, ...]) -> Placement:
    """Give the runs of a class to its devices, one after the other."""
    unused = [iter(c.devices) for c in tables.classes]
    return tuple((next(unused[run.class_index]), run.begin, run.end - 1) for run in runs)


def _placement(stages: list[PricedStage]) -> Placement:
    return tuple((stage.slot.device, stage.first_block, stage.last_block) for stage in stages)


def _broken_pool(pools: tuple[Pool, ...], stages: list[PricedStage]) -> Pool | None:
    taken = {stage.slot.device: stage.memory.total_bytes for stage in stages}
    for pool in pools:
        if sum(taken.get(device, 0) for device in pool.devices) > pool.capacity:
            return pool
    return None
