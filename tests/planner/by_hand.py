"""Every placement of a small problem, and placements as the parts of the solver see them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from hgx.gguf.arrangement import Arrangement
from hgx.planner.arcs import Arcs, Step
from hgx.planner.constraints import broken_limits, device_limits, wish_broken
from hgx.planner.placement import price, total_objective, weighted
from hgx.planner.search.found import Run
from hgx.planner.search.graph import build_graph
from hgx.planner.search.labels import Search
from hgx.planner.search.paths import ANY, STEPS, path_bound
from hgx.planner.tables import build_tables
from tests.planner.made import placements
from tests.planner.oracles.reading import beside, hopeless, opens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hgx.planner.placement import Placement, PricedStage
    from hgx.planner.problem import Problem
    from hgx.planner.search.found import Found
    from hgx.planner.search.paths import PathBound, Span
    from hgx.planner.search.reporter import Reporter
    from hgx.planner.tables import Tables

WIDE = 1 << 18
"""Labels per layer that no small search has."""


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


def least(problem: Problem) -> float:
    """The least objective of all placements, tried one by one; infinite where there is none."""
    return min(
        (total_objective(problem, stages) for _, stages in allowed(problem)), default=math.inf
    )


def tables_of(problem: Problem) -> Tables:
    """The tables of a problem, with the memories that several devices share."""
    return build_tables(problem, device_limits(problem), problem.shared_pools)


def searched(
    tables: Tables,
    *,
    width: int = WIDE,
    target: float = math.inf,
    steps: int = STEPS,
    span: Span = ANY,
    expired: Callable[[], bool] = never,
    reporter: Reporter | None = None,
) -> Found:
    """One search among the stages that may be part of something better.

    Args:
        tables: Stage tables of at least one class.
        width: Most labels to keep per layer.
        target: Objective to beat, in seconds.
        steps: Paths to look for at most, for prices.
        span: What the slowest stage of all placements in question takes.
        expired: Stops the search, but not the look for prices.
        reporter: Watches.
    """
    arcs = Arcs(tables)
    bound = path_bound(arcs, target, steps=steps, span=span)
    graph = build_graph(arcs, bound, target - bound.root())
    return Search(tables, bound, graph, expired, reporter).run(target, width)


def steps_of(tables: Tables, stages: Sequence[PricedStage]) -> list[Step]:
    """The stages of a placement as steps of a path."""
    of_device = {name: at for at, one in enumerate(tables.classes) for name in one.devices}
    kept = [beside(one.slot, other.slot) for one, other in pairwise(stages)]
    return [
        Step(
            of_device[stage.slot.device],
            stage.first_block,
            stage.last_block + 1,
            entered=not before,
            left=not after and not stage.output_head,
            final=stage.output_head,
        )
        for stage, before, after in zip(stages, (False, *kept), (*kept, False), strict=True)
    ]


def runs_of(tables: Tables, placement: Placement) -> tuple[Run, ...]:
    """A placement as runs of classes."""
    of_device = {name: at for at, one in enumerate(tables.classes) for name in one.devices}
    return tuple(Run(of_device[name], first, last + 1) for name, first, last in placement)


def placement_of_runs(tables: Tables, runs: Sequence[tuple[int, int, int]]) -> Placement:
    """Runs of classes as a placement."""
    unused = [iter(one.devices) for one in tables.classes]
    return tuple((next(unused[at]), begin, end - 1) for at, begin, end in runs)


def paid(
    problem: Problem, tables: Tables, bound: PathBound, stages: Sequence[PricedStage]
) -> list[float]:
    """What each stage of a placement costs when devices, memories and slowness have prices."""
    prices, low = bound.prices, bound.span.low
    of_device = {name: at for at, one in enumerate(tables.classes) for name in one.devices}
    per_byte = prices.pool @ tables.pools
    seconds: list[float] = []
    for stage in stages:
        at = of_device[stage.slot.device]
        seconds.append(
            weighted(stage, problem.total)
            + float(prices.slow[at]) * max(0.0, weighted(stage, problem.peak) - low)
            + float(prices.device[at])
            + float(per_byte[at]) * stage.memory.total_bytes
        )
    return seconds
