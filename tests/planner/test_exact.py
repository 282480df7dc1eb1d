"""The exact solver finds the optimum, and proves it."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings

from hgx.planner.constraints import bytes_short, host_shortage
from hgx.planner.exact import solve_exactly
from hgx.planner.solve import evaluate, solve
from tests.planner.made import (
    MB,
    OBJECTIVES,
    Case,
    best_by_hand,
    case,
    cases,
    device,
    link,
    objective_of,
    options,
    placement_of,
    registry,
    workload,
)
from tests.planner.oracle import Oracle

if TYPE_CHECKING:
    from hgx.core.plan import Objective


def never() -> bool:
    """There is always more time."""
    return False


def assert_optimal(question: Case, best: float) -> None:
    """The solver proves what was found in another way, or that there is nothing."""
    plan = solve(*question)
    if math.isinf(best):
        assert plan.status == "infeasible"
        return
    assert plan.status == "optimal"
    assert objective_of(plan) == pytest.approx(best, rel=1e-8)


@settings(max_examples=60, deadline=None)
@given(question=cases())
def test_the_optimum_is_that_of_trying_everything(question: Case) -> None:
    """Whatever stands where and shares what, no placement evaluates to less than the plan."""
    assert_optimal(question, best_by_hand(question))


@settings(max_examples=15, deadline=None)
@given(question=cases(backends=("cpu", "metal"), blocks=3, coordinators=("a",)))
def test_shared_memories_are_divided_in_the_best_way(question: Case) -> None:
    """Where every device is in some node's RAM, the optimum is still that of trying everything."""
    assert_optimal(question, best_by_hand(question))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("weights", "ram"),
    [((60, 40, 60, 40, 60), 290), ((30, 80, 30, 80, 30), 250), ((50, 50, 50, 50), 200)],
)
def test_three_equal_devices_in_one_memory(
    weights: tuple[int, ...], ram: int, objective: Objective
) -> None:
    """A memory that three equal devices share is divided among them in the best way.

    Branches once treated a device outside a smaller shared memory as if it were inside, took a
    memory shared by three off twice, and divided the same memory for ever.
    """
    near = [device(f"b/cpu:{index}", 160 * MB, 5e11) for index in range(3)]
    far = device("c/cuda:0", 1000 * MB, 1e11)
    question = Case(
        registry(*near, far, nodes=("a",), ram={"b": ram * MB}),
        workload([MB * weight for weight in weights]),
        options(objective),
    )
    assert_optimal(question, best_by_hand(question))


def far_apart(seed: int, objective: Objective) -> Case:
    """Six different devices, two of them on one node, for forty unequal blocks."""
    draw = random.Random(seed)  # noqa: S311 - for tests, not for secrets
    weights = [draw.randint(10, 60) * MB for _ in range(40)]
    mean = sum(weights) // 6
    names = ("a/cpu:0", "b/cuda:0", "b/cuda:1", "c/cuda:0", "d/cuda:0", "e/cpu:0")
    tight = draw.choice((1.3, 2.0, 3.0))
    devices = [
        device(
            name,
            int(mean * tight * draw.uniform(0.4, 1.6)) + 60 * MB,
            10 ** draw.uniform(10, 12),
            10 ** draw.uniform(11, 13),
        )
        for name in names
    ]
    links = [
        link("a", node, 10 ** draw.uniform(-4, -2), 10 ** draw.uniform(7, 9)) for node in "bcde"
    ]
    return Case(
        registry(*devices, links=links), workload(weights, head=90 * MB), options(objective)
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(6))
def test_larger_cases_agree_with_an_independent_oracle(seed: int, objective: Objective) -> None:
    """Six devices and forty unequal blocks: the optimum is that of a search over sets."""
    question = far_apart(seed, objective)
    assert_optimal(question, Oracle(question.problem()).best())


@settings(max_examples=20, deadline=None)
@given(question=cases(devices=2, blocks=3, coordinators=("a",)))
def test_the_oracle_agrees_with_trying_everything(question: Case) -> None:
    """Where no memory is shared, the oracle itself is right."""
    problem = question.problem()
    assume(all(len(pool.devices) == 1 for pool in problem.pools))
    assume(not host_shortage(problem))
    best = best_by_hand(question)
    assert Oracle(problem).best() == pytest.approx(best, rel=1e-9)


def test_nothing_beats_the_optimum() -> None:
    """With the optimum as its target the solver finds nothing and proves the target."""
    question = far_apart(1, "latency")
    best = objective_of(solve(*question))
    outcome = solve_exactly(question.problem(), best, never)
    assert (outcome.placement, outcome.objective, outcome.bound) == ((), math.inf, best)


def test_without_time_nothing_is_claimed() -> None:
    """A solver that is stopped before it begins knows no placement and no bound."""
    outcome = solve_exactly(far_apart(2, "latency").problem(), math.inf, lambda: True)
    assert (outcome.placement, outcome.bound, outcome.states) == ((), 0.0, 0)


@pytest.mark.parametrize("patience", [1, 3, 10, 30, 100, 300])
def test_a_stopped_solver_claims_no_more_than_is_true(patience: int) -> None:
    """Stopped anywhere, also between branches of a shared memory, its bound is not too high."""
    near = [device(f"b/cpu:{index}", 160 * MB, 5e11 + index) for index in range(3)]
    question = Case(
        registry(*near, device("c/cuda:0"), nodes=("a",), ram={"b": 250 * MB}),
        workload([30 * MB, 80 * MB, 30 * MB, 80 * MB, 30 * MB]),
        options(),
    )
    best = best_by_hand(question)
    asked = iter(range(10**9))
    outcome = solve_exactly(question.problem(), math.inf, lambda: next(asked) >= patience)
    assert outcome.bound <= best * (1 + 1e-9)
    assert outcome.objective >= best * (1 - 1e-9)


def test_devices_too_small_for_any_block_prove_at_once() -> None:
    """Where no device holds even one block, there is nothing to search and nothing to find."""
    small = [device(f"{node}/cuda:0", 60 * MB) for node in "bcdefghi"]
    problem = case(*small, model=workload([70 * MB] * 2)).problem()
    assert not bytes_short(problem)
    outcome = solve_exactly(problem, math.inf, never)
    assert (outcome.placement, outcome.bound, outcome.states) == ((), math.inf, 0)


@settings(max_examples=40, deadline=None)
@given(question=cases(devices=4, blocks=6))
def test_a_plan_evaluates_to_what_it_promises(question: Case) -> None:
    """The placement that solve returns, evaluated, gives the same seconds and the same bytes."""
    plan = solve(*question)
    if plan.status == "infeasible":
        return
    assert plan.host is not None
    asked = question.options.model_copy(update={"coordinator": plan.host.node})
    again = evaluate(question.registry, question.workload, placement_of(plan), asked)
    assert (again.predicted, again.host) == (plan.predicted, plan.host)
    assert again.stages == plan.stages
