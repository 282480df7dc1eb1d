"""How many blocks leave their routed experts to the host: branch and bound over that number.

One number of blocks is one problem for the exact search. A range of numbers is one too: the
relaxation that ``Mixture.between`` makes of them, whose bound holds for each. A range that may
contain something better than what is known is halved, the most promising first; what the relaxed
problem gives, with the fewest blocks' experts away with which that fits, is often the best
there is. So a dozen searches decide what otherwise takes one for every block.
"""

from __future__ import annotations

from bisect import bisect_left
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from hgx.planner.candidate import Candidate
from hgx.planner.constraints import broken_limits, cannot_fit, device_limits
from hgx.planner.placement import price, total_objective
from hgx.planner.quick import quick_bound
from hgx.planner.search.exact import solve_exactly
from hgx.planner.search.found import WORTHWHILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.planner.experts import Mixture
    from hgx.planner.placement import Placement
    from hgx.planner.search.reporter import Reporter


def search_numbers(
    mixed: Mixture,
    best: Candidate,
    expired: Callable[[], bool],
    reporter: Reporter | None = None,
) -> tuple[Candidate, float, int]:
    """Find the best number of blocks, and the best placement, with their experts on the host.

    Args:
        mixed: The problem.
        best: What is to be beaten; its objective is infinite where nothing is known.
        expired: Returns whether to stop.
        reporter: Watches the searches.

    Returns:
        The better of what was known and what was found; a bound, in seconds, on all placements
        with experts on the host, where it is below that; and the states that were opened.
    """
    states = 0
    if not mixed.numbers:
        return best, np.inf, states
    least, most = mixed.numbers[0], mixed.numbers[-1]
    bound = quick_bound(mixed.between(least, most), best.objective)
    proven = np.inf
    open_ranges = [(bound, least, most)]
    while open_ranges:
        bound, least, most = heappop(open_ranges)
        if bound >= best.objective * (1 - WORTHWHILE) or expired():
            return best, min(proven, bound), states
        problem = mixed.between(least, most)
        if cannot_fit(problem):
            continue
        outcome = solve_exactly(problem, best.objective, expired, reporter)
        states += outcome.states
        bound = max(bound, min(outcome.bound, outcome.objective, best.objective))
        if outcome.placement:
            found = _fewest(mixed, least, most, outcome.placement)
            if found.objective < best.objective * (1 - WORTHWHILE):
                best = found
        if least == most:
            proven = min(proven, bound)
        elif bound < np.inf:
            middle = (least + most) // 2
            heappush(open_ranges, (bound, least, middle))
            heappush(open_ranges, (bound, middle + 1, most))
    return best, proven, states


def _fewest(mixed: Mixture, least: int, most: int, placement: Placement) -> Candidate:
    """Price a placement with the fewest blocks' experts away with which the devices hold it."""

    def held(count: int) -> Candidate | None:
        problem = mixed.between(count, count)
        stages = price(problem, placement, device_limits(problem))
        if cannot_fit(problem) or next(broken_limits(problem, stages), None) is not None:
            return None
        return Candidate(problem, total_objective(problem, stages), placement)

    numbers = range(least, most + 1)
    at = bisect_left(numbers, True, key=lambda count: held(count) is not None)
    found = held(numbers[at]) if at < len(numbers) else None
    return found or Candidate(mixed.problem, np.inf, ())
