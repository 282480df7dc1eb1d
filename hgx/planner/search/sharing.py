"""The slowest stage made as fast as possible, where devices share memories: who gets how much.

First every device may take all that it may take by itself. Where the best placement then takes too
much of a shared memory ``M``, let ``t`` be what its largest stage there takes, of ``S`` together.
In any placement that keeps the limit, that device takes at most ``M t / S``, or the others together
at most ``M - M t / S``. Both are searched, the more promising first, and neither has the placement
that was too much.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.constraints import device_limits
from hgx.planner.placement import price
from hgx.planner.pools import Pool
from hgx.planner.search.found import WORTHWHILE, Outcome
from hgx.planner.tables import build_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hgx.planner.placement import Placement, PricedStage
    from hgx.planner.problem import Problem
    from hgx.planner.search.found import Found, Run
    from hgx.planner.tables import Tables

    Solve = Callable[[Tables, float, float], Found]


class _Part(NamedTuple):
    """Placements with smaller limits.

    Attributes:
        bound: Objective that none of them is below, in seconds.
        number: Makes parts with one bound differ.
        limits: Bytes each device may take, by id.
        pools: Memories that several devices share.
    """

    bound: float
    number: int
    limits: Mapping[str, float]
    pools: Sequence[Pool]


def share_memories(
    problem: Problem,
    target: float,
    solve: Solve,
    begin: Callable[[], Outcome],
    expired: Callable[[], bool],
) -> Outcome:
    """Find the best placement below a known objective, or prove that there is none.

    Args:
        problem: The problem; nothing but the slowest stage counts.
        target: Seconds to beat; infinite when nothing is known.
        solve: Searches tables in which no memory is shared, for less than some seconds, knowing
            that nothing is below some others.
        begin: Called where memories must be divided: another way to find something, and a bound.
        expired: Returns whether to stop.
    """
    number, floor = count(), 0.0
    best, placement, states = target, (), 0
    left = [_Part(0.0, next(number), device_limits(problem), problem.shared_pools)]
    bound = np.inf
    while left and left[0].bound < best * (1 - WORTHWHILE):
        part = heappop(left)
        if expired():
            bound = min(bound, part.bound)
            break
        tables = build_tables(problem, part.limits)
        if not tables.classes:
            continue
        found = solve(tables, best, max(floor, part.bound))
        states += found.states
        if not found.runs:
            bound = min(bound, found.bound)
            continue
        placed = named(tables, found.runs)
        stages = price(problem, placed, part.limits)
        broken = _broken(part.pools, stages)
        if broken is None:
            best, placement = found.objective, placed
            bound = min(bound, found.bound)
            continue
        if not floor:
            begun = begin()
            floor, states = begun.bound, states + begun.states
            if begun.objective < best:
                best, placement = begun.objective, begun.placement
        for limits, smaller in _divided(part, broken, stages):
            heappush(left, _Part(max(floor, found.bound), next(number), limits, smaller))
    bound = min([bound, *(part.bound for part in left)])
    return Outcome(best if placement else np.inf, placement, min(bound, best), states)


def named(tables: Tables, runs: Sequence[Run]) -> Placement:
    """Give the runs of a class to its devices, one after the other."""
    unused = [iter(c.devices) for c in tables.classes]
    return tuple((next(unused[run.class_index]), run.begin, run.end - 1) for run in runs)


def _broken(pools: Sequence[Pool], stages: Sequence[PricedStage]) -> Pool | None:
    """A memory of which a placement takes more than it has; None where it keeps all.

    That of the fewest devices: it came out of others, which would be divided the same way again.
    """
    broken = [pool for pool in pools if sum(_taken(pool, stages).values()) > pool.capacity]
    return min(broken, key=lambda pool: len(pool.devices), default=None)


def _divided(
    part: _Part, pool: Pool, stages: Sequence[PricedStage]
) -> list[tuple[Mapping[str, float], Sequence[Pool]]]:
    """Limits and memories where the largest stage has less, and where the others have."""
    taken = _taken(pool, stages)
    largest = max(taken, key=lambda device: (taken[device], device))
    share = pool.capacity * taken[largest] / sum(taken.values())
    others = pool.devices - {largest}
    one = {**part.limits, largest: min(part.limits[largest], share)}
    rest = pool.capacity - share
    other = {
        device: min(limit, rest) if device in others else limit
        for device, limit in part.limits.items()
    }
    more = (*part.pools, Pool(others, rest)) if len(others) > 1 else part.pools
    return [(one, part.pools), (other, more)]


def _taken(pool: Pool, stages: Sequence[PricedStage]) -> dict[str, int]:
    """Bytes that devices take of a memory."""
    return {
        stage.slot.device: stage.memory.total_bytes
        for stage in stages
        if stage.slot.device in pool.devices
    }
