"""The exact solver: the best placement of one arrangement, and the proof that it is.

A model on one device is decided by trying all; for several, ``hgx.planner.search.minimise``
searches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.gguf.arrangement import Arrangement
from hgx.planner.alone import best_alone
from hgx.planner.search.found import WORTHWHILE, Outcome
from hgx.planner.search.minimise import minimise

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem
    from hgx.planner.search.reporter import Reporter


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
    return minimise(problem, target, expired, reporter, known)
