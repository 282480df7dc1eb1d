"""Every placement of a small problem, and placements as the parts of the solver see them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hgx.planner.constraints import broken_limits, device_limits, wish_broken
from hgx.planner.placement import price, weighted
from hgx.planner.problem import Arrangement
from hgx.planner.search import Run
from hgx.planner.tables import build_tables
from tests.planner.made import placements
from tests.planner.oracles.reading import hopeless, opens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgx.planner.placement import Placement, PricedStage
    from hgx.planner.problem import Problem
    from hgx.planner.tables import Tables


def never() -> bool:
    """There is always more time."""
    return False


def allowed(problem: Problem) -> Iterator[tuple[Placement, list[PricedStage]]]:
    """All placements that a problem of one arrangement allows, with what they take."""
    if hopeless(problem):
        return
    first = {slot.device for slot in problem.slots if opens(problem, slot)}
    limits = device_limits(problem)
    for placement in placements([slot.device for slot in problem.slots], problem.n_block):
        if placement[0][0] not in first or wish_broken(problem, placement):
            continue
        if problem.arrangement is Arrangement.ALONE and len(placement) > 1:
            return
        if problem.arrangement is Arrangement.HOST_FIRST and len(placement) == 1:
            continue  # that is another arrangement, and needs other buffers
        stages = price(problem, placement, limits)
        if next(broken_limits(problem, stages), None) is None:
            yield placement, stages


def summed(problem: Problem, stages: Sequence[PricedStage]) -> float:
    """Seconds of stages that add up."""
    return sum(weighted(stage, problem.total) for stage in stages)


def slowest(problem: Problem, stages: Sequence[PricedStage]) -> float:
    """Seconds of the slowest of stages."""
    return max(weighted(stage, problem.peak) for stage in stages)


def least_sum(problem: Problem, cap: float = math.inf) -> float:
    """The least sum of all placements whose slowest stage is within a cap, tried one by one."""
    return min(
        (
            summed(problem, stages)
            for _, stages in allowed(problem)
            if slowest(problem, stages) <= cap
        ),
        default=math.inf,
    )


def tables_of(problem: Problem, cap: float = math.inf) -> Tables:
    """The tables of a problem, with the memories that several devices share."""
    shared = [pool for pool in problem.pools if len(pool.devices) > 1]
    return build_tables(problem, device_limits(problem), shared, cap=cap)


def runs_of(tables: Tables, placement: Placement) -> tuple[Run, ...]:
    """A placement as runs of classes."""
    of_device = {name: at for at, one in enumerate(tables.classes) for name in one.devices}
    return tuple(Run(of_device[name], first, last + 1) for name, first, last in placement)


def placement_of_runs(tables: Tables, runs: Sequence[tuple[int, int, int]]) -> Placement:
    """Runs of classes as a placement."""
    unused = [iter(one.devices) for one in tables.classes]
    return tuple((next(unused[at]), begin, end - 1) for at, begin, end in runs)
