"""The exact solver: searches of growing width and, where memory is shared, of growing accuracy.

The search keeps account of a memory that several devices share in levels, rounded down, so that
it never overlooks a placement but may return one that takes too much (``hgx.planner.levels``).
Then what it claims is still a bound. The levels that were too coarse are refined, and it runs
again, until what it returns keeps all limits.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.bound import lower_bound
from hgx.planner.constraints import device_limits
from hgx.planner.levels import Levels, add_marks, no_marks
from hgx.planner.placement import price
from hgx.planner.search import WORTHWHILE, Found, Search
from hgx.planner.tables import build_tables, stage_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hgx.planner.levels import Marks
    from hgx.planner.placement import Placement, PricedStage
    from hgx.planner.problem import Pool, Problem
    from hgx.planner.reporter import Reporter
    from hgx.planner.search import Run
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
    """The loop over accuracies."""

    def __init__(
        self,
        problem: Problem,
        target: float,
        expired: Callable[[], bool],
        reporter: Reporter | None,
    ) -> None:
        self._problem = problem
        self._limits = device_limits(problem)
        self._shared = tuple(pool for pool in problem.pools if len(pool.devices) > 1)
        self._expired = expired
        self._reporter = reporter
        self._best = target
        self._placement: Placement = ()
        self._states = 0

    def run(self) -> Outcome:
        """Search, refine, and search again."""
        tables = build_tables(self._problem, self._limits, self._shared)
        bound = 0.0 if tables.classes else np.inf
        marks = no_marks(tables)
        while bound < self._best * (1 - WORTHWHILE) and not self._expired():
            reached, stages = self._search(tables, marks, WIDTHS)
            bound = max(bound, reached)
            if not stages:
                break
            finer = self._refined(marks, stages)
            if finer == marks:
                break
            marks = finer
            self._repair(stages)
        objective = self._best if self._placement else np.inf
        return Outcome(objective, self._placement, min(bound, self._best), self._states)

    def _search(
        self, tables: Tables, marks: Marks, widths: Sequence[int]
    ) -> tuple[float, list[PricedStage]]:
        """Search with growing width, until the best is proven or time is up.

        What is found becomes the incumbent if it keeps the limits of the shared memories.

        Returns:
            A bound, and the placement that was found, or nothing.
        """
        prices = lower_bound(tables, self._best)
        levels = Levels(tables, marks)
        best = Found(np.inf, (), prices.root(), 0)
        for width in widths:
            if best.bound >= min(self._best, best.objective) * (1 - WORTHWHILE):
                break
            search = Search(tables, prices, levels, self._expired, self._reporter)
            found = search.run(min(self._best, best.objective), width)
            self._states += found.states
            best = Found(
                min(found.objective, best.objective),
                found.runs or best.runs,
                max(best.bound, found.bound),
                0,
            )
            if self._expired():
                break
        if not best.runs:
            return best.bound, []
        placement = _named(tables, best.runs)
        stages = price(self._problem, placement, self._limits)
        if all(sum(_taken(pool, stages)) <= pool.capacity for pool in self._problem.pools):
            self._best, self._placement = best.objective, placement
        return best.bound, stages

    def _refined(self, marks: Marks, stages: Sequence[PricedStage]) -> Marks:
        """Forbid what a placement takes too much of shared memories; no change where nothing."""
        finer: list[tuple[float, ...]] = []
        for pool, old in zip(self._shared, marks, strict=True):
            taken = _taken(pool, stages)
            broken = sum(taken) > pool.capacity
            finer.append(add_marks(old, pool.capacity, taken, self._sizes) if broken else old)
        return tuple(finer)

    def _repair(self, stages: Sequence[PricedStage]) -> None:
        """Look for an incumbent that divides shared memories as a broken placement did."""
        taken = {stage.slot.device: stage.memory.total_bytes for stage in stages}
        limits = dict(self._limits)
        for pool in self._shared:
            total = sum(taken.get(device, 0) for device in pool.devices) or 1
            for device in pool.devices:
                share = pool.capacity * taken.get(device, 0) / total
                limits[device] = min(limits[device], share)
        tables = build_tables(self._problem, limits)
        if tables.classes:
            self._search(tables, (), WIDTHS[:1])

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


def _taken(pool: Pool, stages: Sequence[PricedStage]) -> list[int]:
    """Bytes that the devices of a memory take, in pipeline order."""
    return [stage.memory.total_bytes for stage in stages if stage.slot.device in pool.devices]
