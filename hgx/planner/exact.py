"""The exact solver: the best placement of one arrangement, and the proof that it is.

A model on one device is decided by trying all. Where the sum over stages counts, or the slowest
stage, one search minimises it; where both do, searches for the least sum under caps on the slowest
stage.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.alone import best_alone
from hgx.planner.bound import lower_bound
from hgx.planner.constraints import device_limits
from hgx.planner.minimise import MOST_SETS, Minimiser, Outcome
from hgx.planner.placement import price, weighted
from hgx.planner.problem import Arrangement, Weights
from hgx.planner.search import WORTHWHILE
from hgx.planner.tables import build_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem
    from hgx.planner.reporter import Reporter


def solve_exactly(
    problem: Problem,
    target: float,
    expired: Callable[[], bool],
    reporter: Reporter | None = None,
    known: Placement = (),
) -> Outcome:
    """Find the best placement below a known objective, or prove that there is none.

    Args:
        problem: The problem.
        target: Objective to beat, in seconds; infinite when none is known.
        expired: Returns whether to stop.
        reporter: Watches the searches.
        known: A placement with the target as its objective, where there is one.
    """
    if problem.arrangement is Arrangement.ALONE:
        objective, placement = best_alone(problem)
        if objective < target * (1 - WORTHWHILE):
            return Outcome(objective, placement, objective, 0)
        return Outcome(np.inf, (), min(objective, target), 0)
    if any(problem.total) and any(problem.peak):
        return _solve_both(problem, target, expired, reporter)
    return Minimiser(problem, target, expired, reporter, known=known).run()


class _Interval(NamedTuple):
    """Placements whose slowest stage takes between two times.

    Attributes:
        bound: Least objective of any of them, in seconds; what is least comes first.
        least: The lower time.
        cap: The upper one.
        sums: Least sum of any of them, as far as known.
    """

    bound: float
    least: float
    cap: float
    sums: float


def _solve_both(
    problem: Problem, target: float, expired: Callable[[], bool], reporter: Reporter | None
) -> Outcome:
    """Minimise a sum over stages and the slowest stage together.

    Let ``S(c)`` be the least sum where no stage is slower than ``c``. A placement whose slowest
    stage takes between ``d`` and ``c`` has an objective of at least ``S(c) + d``. Such intervals
    are looked at one after the other, the one with the least bound first, only for sums below the
    incumbent less ``d``. What is found with a slowest stage ``p`` is the best of those between
    ``p`` and ``c``, and where the sum alone brings the objective up to the incumbent nothing is
    left to look for either; what remains is divided in two.
    """
    floor, states = _floor(problem, target, expired, reporter)
    best, placement = target, ()
    left = [_Interval(floor, floor, np.inf, 0.0)]
    while left and left[0].bound < best * (1 - WORTHWHILE) and not expired():
        interval = heappop(left)
        wanted = best - interval.least
        found = Minimiser(problem, wanted, expired, reporter, cap=interval.cap).run()
        states += found.states
        total, peak = _parts(problem, found.placement) if found.placement else (wanted, np.inf)
        if total + peak < best * (1 - WORTHWHILE):
            best, placement = total + peak, found.placement
        sums = max(interval.sums, min(found.bound, total))
        if sums < total * (1 - 2 * WORTHWHILE):  # time is up
            heappush(left, interval._replace(bound=sums + interval.least, sums=sums))
            break
        top = min(min(peak, interval.cap) * (1 - WORTHWHILE), best - total)
        if found.placement and top >= interval.least:
            middle = (interval.least + top) / 2
            heappush(left, _Interval(sums + interval.least, interval.least, middle, sums))
            heappush(left, _Interval(sums + middle, middle, top, sums))
    bound = min((interval.bound for interval in left), default=np.inf)
    return Outcome(best if placement else np.inf, placement, min(bound, best), states)


def _floor(
    problem: Problem, target: float, expired: Callable[[], bool], reporter: Reporter | None
) -> tuple[float, int]:
    """The least slowest stage, or less where that alone would take all the time; states opened."""
    slowest = problem._replace(total=Weights())
    tables = build_tables(slowest, device_limits(problem))
    if not tables.classes:
        return np.inf, 0
    shared = any(len(pool.devices) > 1 for pool in problem.pools)
    if shared or tables.sets > MOST_SETS:
        return lower_bound(tables, target).root(), 0
    found = Minimiser(slowest, np.inf, expired, reporter).run()
    return found.bound, found.states


def _parts(problem: Problem, placement: Placement) -> tuple[float, float]:
    """The sum over the stages of a placement, and the slowest of them, in weighted seconds."""
    stages = price(problem, placement, device_limits(problem))
    total = sum(weighted(stage, problem.total) for stage in stages)
    return total, max(weighted(stage, problem.peak) for stage in stages)
