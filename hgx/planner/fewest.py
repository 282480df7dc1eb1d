"""Fewer machines for little more time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.planner.arrangements import problems_of
from hgx.planner.candidate import Candidate
from hgx.planner.constraints import cannot_fit
from hgx.planner.experts import mixture
from hgx.planner.search.exact import solve_exactly
from hgx.planner.search.experts import search_numbers

if TYPE_CHECKING:
    from hgx.planner.problem import Problem
    from hgx.planner.timer import Timer


def fewest(best: Candidate, tolerance: float, timer: Timer) -> tuple[Candidate, str]:
    """Find a placement on fewer machines that is nearly as good.

    Args:
        best: The best there is.
        tolerance: How much longer it may take, as a part.
        timer: Ends the search.

    Returns:
        It, or the best, and a sentence on what it costs, or on what was not tried.
    """
    question = best.problem.question
    machines = _machines(best)
    target = best.objective * (1 + tolerance)
    for most in range(1, machines):
        options = question.options.model_copy(update={"max_nodes": most})
        for problem in problems_of(question._replace(options=options), best.problem.coordinator):
            if timer.expired():
                return best, f"not all ways to do with fewer than {machines} machines were tried"
            found = _below(problem, target, timer)
            if found:
                slower = found.objective / best.objective - 1
                fewer = f"{machines - most} machine{'s' if machines - most > 1 else ''} fewer"
                note = f"{fewer} than the fastest plan takes, for {slower:.1%} more time"
                return found, note
    return best, ""


def _below(problem: Problem, target: float, timer: Timer) -> Candidate | None:
    """Find a placement below an objective, with or without experts in the coordinator's RAM."""
    wished = problem.question.options.cpu_experts
    if not wished and not cannot_fit(problem):
        whole = solve_exactly(problem, target, timer.expired)
        if whole.placement:
            return Candidate(problem, whole.objective, whole.placement)
    mixed = None if wished == 0 else mixture(problem)
    if mixed is None:
        return None
    apart, _, _ = search_numbers(mixed, Candidate(problem, target, ()), timer.expired)
    return apart if apart.placement else None


def _machines(candidate: Candidate) -> int:
    """How many machines a placement needs, the coordinator included."""
    problem = candidate.problem
    node_of = {slot.device: slot.node for slot in problem.slots}
    return len({problem.coordinator, *(node_of[device] for device, *_ in candidate.placement)})
