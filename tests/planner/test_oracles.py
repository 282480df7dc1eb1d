"""Foreign solvers agree: CP-SAT and HiGHS find the same optimum, each in its own model."""

from __future__ import annotations

import math
import random
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from hgx.planner.placement import total_objective
from hgx.planner.solve import solve
from tests.planner.by_hand import allowed
from tests.planner.made import (
    LONG_PROMPT,
    MB,
    OBJECTIVES,
    RPC_MODES,
    Case,
    cases,
    device,
    link,
    objective_of,
    options,
    registry,
    workload,
)
from tests.planner.oracles import cp_sat, highs
from tests.planner.oracles.reading import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.options import RpcMode
    from hgx.core.plan import Objective
    from hgx.planner.problem import Problem
    from tests.planner.oracles.reading import Verdict

    Solver = Callable[[Problem, float, int], Verdict]

TIMEOUT_S = 60.0
WORKERS = 2

SOLVERS = pytest.mark.parametrize(
    "foreign", [pytest.param(cp_sat.solve, id="cp_sat"), pytest.param(highs.solve, id="highs")]
)

NEARLY = 1e-6
"""Relative accuracy of the foreign solvers' own arithmetic."""


def proven(problem: Problem, foreign: Solver) -> float:
    """The optimum of a problem by a foreign solver, which must prove it."""
    verdict = foreign(problem, TIMEOUT_S, WORKERS)
    seconds = seconds_of(problem, verdict.placement)
    assert verdict.bound >= seconds * (1 - NEARLY) - 2 * verdict.error_s
    assert verdict.bound <= seconds * (1 + NEARLY)
    return seconds


@SOLVERS
@settings(max_examples=25, deadline=None)
@given(
    question=cases(
        coordinators=("a",), blocks=3, prompts=(100, LONG_PROMPT), wishes=True, crossing=True
    )
)
def test_they_are_right_where_everything_can_be_tried(foreign: Solver, question: Case) -> None:
    """The models themselves are right, shared memories and wishes included."""
    for problem in question.problems():
        best = min(
            (total_objective(problem, stages) for _, stages in allowed(problem)),
            default=math.inf,
        )
        assert proven(problem, foreign) == pytest.approx(best, rel=NEARLY)


def medium(seed: int, objective: Objective, rpc: RpcMode) -> Case:
    """Five different devices, near and far, some of them in one memory, for fourteen blocks."""
    draw = random.Random(f"{seed} {objective} {rpc}")  # noqa: S311 - for tests, not for secrets
    weights = [draw.randint(10, 60) * MB for _ in range(14)]
    names = draw.sample(
        ("a/cuda:0", "b/cuda:0", "b/cuda:1", "c/metal:0", "c/cpu:0", "d/cuda:0", "e/cpu:0"), 4
    )
    room = sum(weights) / 5 * draw.choice((1.6, 2.2, 3.0))
    devices = [
        device(
            name,
            int(room * draw.uniform(0.6, 1.5)) + 60 * MB,
            10 ** draw.uniform(10, 12),
            10 ** draw.uniform(11, 13),
            unified=name == "c/metal:0" or None,
        )
        for name in ("a/cpu:0", *names)
    ]
    links = [
        link(one, other, 10 ** draw.uniform(-4, -2), 10 ** draw.uniform(7, 9))
        for one, other in combinations("abcde", 2)
    ]
    asked = options(
        objective,
        rpc=rpc,
        prompt_tokens=draw.choice((100, LONG_PROMPT)),
        parallel=draw.choice((1, 3)),
        max_nodes=draw.choice((None, None, 3)),
        require=draw.choice(((), (), (names[0],))),
    )
    model = workload(weights, head=draw.choice((5, 60)) * MB, tied=draw.random() < 0.5)
    return Case(registry(*devices, nodes="abcde", links=links), model, asked)


@SOLVERS
@pytest.mark.parametrize("rpc", RPC_MODES)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(4))
def test_they_agree_with_the_plan(
    foreign: Solver, seed: int, objective: Objective, rpc: RpcMode
) -> None:
    """Of all arrangements of stages, the best that they prove is the plan's, or none is."""
    question = medium(seed, objective, rpc)
    best = min(proven(problem, foreign) for problem in question.problems())
    plan = solve(*question)
    if math.isinf(best):
        assert plan.status == "infeasible"
        return
    assert plan.status == "optimal"
    assert objective_of(plan, question) == pytest.approx(best, rel=NEARLY)


@SOLVERS
def test_out_of_time_they_claim_no_more_than_is_true(foreign: Solver) -> None:
    """Stopped at once, what they prove is below the optimum, and what they found above."""
    question = medium(0, "latency", "sync")
    problem = question.problem()
    best = proven(problem, foreign)
    verdict = foreign(problem, 1e-3, WORKERS)
    assert verdict.bound <= best * (1 + NEARLY)
    assert seconds_of(problem, verdict.placement) >= best * (1 - NEARLY)


def test_a_relaxation_is_no_better_than_the_truth() -> None:
    """With devices divided at will, the bound is below the optimum, and near it."""
    problem = medium(1, "latency", "sync").problem()
    relaxed = highs.solve(problem, TIMEOUT_S, relaxed=True)
    best = proven(problem, highs.solve)
    assert relaxed.placement == ()
    assert 0.5 * best < relaxed.bound <= best * (1 + NEARLY)
