"""An answer that may become the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem


class Candidate(NamedTuple):
    """The best placement known of one problem.

    Attributes:
        problem: Of one coordinator and one arrangement.
        objective: In seconds; infinite where there is no placement.
        placement: Nothing where none is known.
    """

    problem: Problem
    objective: float
    placement: Placement
