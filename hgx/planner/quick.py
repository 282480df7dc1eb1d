"""A valid bound within milliseconds, for an answer that was not searched for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.gguf.arrangement import Arrangement
from hgx.planner.alone import best_alone
from hgx.planner.bound import lower_bound
from hgx.planner.constraints import cannot_fit, device_limits
from hgx.planner.problem import Weights
from hgx.planner.search.found import WORTHWHILE
from hgx.planner.tables import build_tables

if TYPE_CHECKING:
    from hgx.planner.problem import Problem

QUICK_STEPS, LEAST_STEPS = 30, 5
"""Subgradient steps: enough for most of what more would give, and where they take long."""

QUICK_WORK = 500_000
"""Steps times classes times blocks that are quickly done."""


def quick_bound(problem: Problem, objective: float) -> float:
    """Find a bound on the objective of any placement of a problem.

    Args:
        problem: The problem.
        objective: Of a known placement, in seconds.

    Returns:
        Seconds, the known objective where nothing is below it; infinite where nothing fits.
    """
    if cannot_fit(problem):
        return np.inf
    if problem.arrangement is Arrangement.ALONE:
        return min(objective, best_alone(problem)[0])
    if any(problem.total) and any(problem.peak):
        parts = (problem._replace(peak=Weights()), problem._replace(total=Weights()))
        value = sum(quick_bound(part, objective) for part in parts)
        return min(value, objective)
    tables = build_tables(problem, device_limits(problem))
    if not tables.classes:
        return np.inf
    work = len(tables.classes) * tables.n_block
    steps = max(LEAST_STEPS, min(QUICK_STEPS, QUICK_WORK // work))
    bound = lower_bound(tables, objective, steps).root()
    return objective if bound >= objective * (1 - WORTHWHILE) else bound
