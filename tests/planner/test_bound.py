"""The bound is below every placement there is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings

from hgx.planner.bound import STEPS, lower_bound
from hgx.planner.constraints import device_limits
from hgx.planner.problem import Weights, rearranged
from hgx.planner.solve import solve
from hgx.planner.tables import build_tables
from tests.planner.made import (
    MB,
    OBJECTIVES,
    WHOLE,
    Case,
    best_by_hand,
    case,
    cases,
    device,
    objective_of,
    options,
    workload,
)

if TYPE_CHECKING:
    from hgx.core.plan import Objective


def root_of(question: Case, target: float, steps: int = STEPS) -> float:
    """The bound of a question, with node ``a`` as coordinator."""
    least = math.inf
    for arrangement in WHOLE:
        problem = rearranged(question.problem(), arrangement)
        if any(problem.total) and any(problem.peak):
            problem = problem._replace(peak=Weights())  # one of the two is a bound of their sum
        tables = build_tables(problem, device_limits(problem), problem.pools)
        if tables.classes:
            least = min(least, lower_bound(tables, target, steps).root())
    return least


@settings(max_examples=40, deadline=None)
@given(question=cases(coordinators=("a",)))
def test_no_placement_is_below_the_bound(question: Case) -> None:
    """Whatever the target the steps are guided by, no placement costs less than the bound."""
    best = best_by_hand(question)
    targets = (math.inf, 1e-3) if math.isinf(best) else (math.inf, best, 2 * best, best / 10)
    for target in targets:
        assert root_of(question, target) <= best * (1 + 1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_suffix_of_the_best_placement_is_above_its_bound(objective: Objective) -> None:
    """What is left to pay from any block on, with the devices left, is never underestimated."""
    asked = options(objective)
    devices = [
        device(f"{node}/cuda:0", 150 * MB, 1e11 * scale) for scale, node in enumerate("bcd", 1)
    ]
    question = case(*devices, model=workload([50 * MB] * 5), asked=asked)
    problem = question.problem()
    tables = build_tables(problem, device_limits(problem))
    plan = solve(*question)
    bound = lower_bound(tables, objective_of(plan))
    index = {one.devices[0]: at for at, one in enumerate(tables.classes)}
    used = np.zeros((1, len(index)))
    share = [stage.seconds_per_token if objective == "throughput" else 0.0 for stage in plan.stages]
    for stage, left in zip(plan.stages, range(len(plan.stages)), strict=True):
        rest = bound.rest(used)[0, stage.first_block]
        remaining = max(share[left:]) if objective == "throughput" else objective_of(plan)
        assert 0.0 <= rest <= remaining * (1 + 1e-9)
        used[0, index[stage.device]] = 1.0


@pytest.mark.parametrize(("objective", "closed"), [("latency", 0.8), ("throughput", 0.2)])
def test_steps_raise_the_bound(objective: Objective, closed: float) -> None:
    """On a case where memory binds, the ascent comes nearer to the optimum than its start."""
    question = case(
        device("a/cuda:0", 1100 * MB, 1e12),
        device("b/cuda:0", 4000 * MB, 1e11),
        model=workload([50 * MB] * 40),
        asked=options(objective),
    )
    best = objective_of(solve(*question))
    start, end = root_of(question, best, 0), root_of(question, best)
    assert start < end <= best
    assert end > closed * best


def test_with_nothing_left_there_is_nothing_to_pay() -> None:
    """Under throughput a state that has used every device has no bound above zero."""
    problem = case(device("a/cuda:0"), asked=options("throughput")).problem()
    bound = lower_bound(build_tables(problem, device_limits(problem)), 1.0)
    assert bound.rest(np.ones((1, 1))).tolist() == [[0.0] * 5]
