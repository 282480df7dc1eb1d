"""A model on one device: every device is tried, which is all there is to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.planner.constraints import broken_limits, device_limits, host_shortage, wish_broken
from hgx.planner.placement import price, total_objective

if TYPE_CHECKING:
    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem


def best_alone(problem: Problem) -> tuple[float, Placement]:
    """Find the best device to have the whole model.

    Args:
        problem: A problem of the arrangement ``ALONE``.

    Returns:
        The objective in seconds, infinite where it fits nowhere, and the placement.
    """
    best: tuple[float, Placement] = (np.inf, ())
    if host_shortage(problem):
        return best
    limits = device_limits(problem)
    for slot in problem.slots:
        placement: Placement = ((slot.device, 0, problem.n_block - 1),)
        if wish_broken(problem, placement):
            continue
        stages = price(problem._replace(slots=(slot,)), placement, limits)
        if next(broken_limits(problem, stages), None) is None:
            best = min(best, (total_objective(problem, stages), placement))
    return best
