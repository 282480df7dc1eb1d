"""A changed problem beside a solved one: solved in little time, or with an answer kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.planner.anatomy import answer_of, price_answer
from hgx.planner.evaluate import evaluate
from hgx.planner.solve import solve
from hgx.planner.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.plan import Plan, Predicted
    from hgx.planner.anatomy import Answer
    from hgx.planner.placement import Placement
    from hgx.planner.problem import Question
    from hgx.planner.timer import Clock

MOST_S, LEAST_S = 1.0, 0.1
"""Longest search for one changed problem, and the longest where there are many of them."""


class Solved(NamedTuple):
    """The best answer found for a problem.

    Attributes:
        placement: Who has which blocks.
        predicted: What it promises.
        objective: Seconds that are minimised.
        proven: Whether it is proven that none is better.
    """

    placement: Placement
    predicted: Predicted
    objective: float
    proven: bool


class Allowance(NamedTuple):
    """How long many changed problems may take.

    Attributes:
        each_s: Longest search for one of them.
        expired: Whether it is time to stop.
    """

    each_s: float
    expired: Callable[[], bool]


def allow(seconds: float, problems: int, clock: Clock) -> Allowance:
    """Share time from now on among so many problems."""
    each_s = min(MOST_S, max(LEAST_S, seconds / max(1, problems)))
    return Allowance(each_s, Timer(clock, clock() + seconds).expired)


def solve_within(question: Question, this_node: str | None, limit_s: float) -> Solved | None:
    """Solve a problem beside another one.

    Args:
        question: What is asked; less time is taken where it asks for that.
        this_node: Id of the machine that asks.
        limit_s: Longest time to search.

    Returns:
        The best answer found; null where it is proven that nothing fits.

    Raises:
        OutOfTime: Nothing was found, nor that proof.
    """
    registry, workload, options, corrections = question
    brief = options.model_copy(update={"timeout_s": min(options.timeout_s, limit_s)})
    plan = solve(registry, workload, brief, this_node=this_node, corrections=corrections)
    return _solved(question, plan)


def evaluated(question: Question, answer: Answer) -> Solved | None:
    """Predict what an answer to another question would do.

    Raises:
        Infeasible: It breaks a constraint.
    """
    registry, workload, options, corrections = question
    same = {"coordinator": answer.coordinator, "cpu_experts": answer.experts_away}
    plan = evaluate(
        registry,
        workload,
        answer.placement,
        options.model_copy(update=same),
        corrections=corrections,
    )
    return _solved(question, plan)


def _solved(question: Question, plan: Plan) -> Solved | None:
    answer = answer_of(plan)
    if answer is None or plan.predicted is None:
        return None
    objective = price_answer(question, answer).objective
    return Solved(answer.placement, plan.predicted, objective, plan.status == "optimal")
