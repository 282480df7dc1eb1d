"""The greedy solver: quick, never better than exact, never worse than filling up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from hgx.planner.constraints import device_limits
from hgx.planner.greedy import AT_LEAST, best_split, solve_greedily
from hgx.planner.placement import price, total_objective
from hgx.planner.scores import score_devices
from hgx.planner.solve import solve
from hgx.planner.tables import build_tables
from tests.planner.by_hand import allowed
from tests.planner.made import (
    MB,
    OBJECTIVES,
    Case,
    case,
    cases,
    device,
    objective_of,
    options,
    registry,
    workload,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.plan import Objective
    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem


def in_score_order(question: Case) -> list[str]:
    """Devices as the greedy solver orders them."""
    n_embd = question.workload.n_embd
    return [score.device for score in score_devices(question.registry, "a", n_embd)]


def filled(problem: Problem, order: Sequence[str]) -> Placement:
    """Fill one device after the other with as many blocks as it takes; empty where that fails."""
    limits, first = device_limits(problem), 0
    stages: list[tuple[str, int, int]] = []
    for name in order:
        for last in range(problem.n_block - 1, first - 1, -1):
            stage = (name, first, last)
            head = last == problem.n_block - 1
            # The stage that is priced last has the head; only then is it added here.
            priced = price(problem, (stage,) if head else (stage, stage), limits)[0]
            if priced.memory.total_bytes <= limits[name]:
                stages.append(stage)
                first = last + 1
                break
        if first == problem.n_block:
            return tuple(stages)
    return ()


def cost(problem: Problem, placement: Placement) -> float:
    """The objective of a placement; infinite for none."""
    if not placement:
        return math.inf
    return total_objective(problem, price(problem, placement, device_limits(problem)))


@settings(max_examples=100, deadline=None)
@given(
    question=cases(
        devices=5,
        blocks=8,
        backends=("cuda",),
        coordinators=("a",),
        objectives=("latency", "throughput"),
    )
)
def test_never_worse_than_filling_up_in_score_order(question: Case) -> None:
    """One device after the other, each filled to the brim, is among what greedy chooses from."""
    problem, order = question.problem(), in_score_order(question)
    objective, placement = solve_greedily(problem, order)
    assert objective <= cost(problem, filled(problem, order)) * (1 + 1e-9)
    assert objective == pytest.approx(cost(problem, placement), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    question=cases(devices=3, blocks=5, coordinators=("a",), objectives=("latency", "throughput"))
)
def test_best_split_is_the_best_for_its_order(question: Case) -> None:
    """Of all placements that keep to the order, with devices left out, none costs less."""
    problem = question.problem()._replace(pools=())
    order = [slot.device for slot in problem.slots]
    best = math.inf
    for placement, stages in allowed(problem):
        names = [name for name, _, _ in placement]
        if names == [name for name in order if name in names]:
            best = min(best, total_objective(problem, stages))
    objective, placement = best_split(build_tables(problem, device_limits(problem)), order)
    assert objective == pytest.approx(best, rel=1e-9)
    assert cost(problem, placement) == pytest.approx(best, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(question=cases(devices=4, blocks=6))
def test_never_better_than_exact(question: Case) -> None:
    """A greedy plan costs no less than the optimum, and its bound is no higher than that."""
    best = solve(*question)
    quick = solve(
        *question._replace(options=question.options.model_copy(update={"solver": "greedy"}))
    )
    assert (best.status == "infeasible") == (quick.status == "infeasible")
    if best.status == "infeasible":
        return
    assert quick.bound is not None
    assert quick.bound.value <= objective_of(best) * (1 + 1e-9) <= objective_of(quick) * (1 + 2e-9)


def test_the_order_from_the_back_is_tried_too() -> None:
    """Where the slower device should come first, for the head fits only on the other, it does."""
    question = case(
        device("b/cuda:0", 400 * MB, flops=2e13),
        device("c/cuda:0", 170 * MB),
        model=workload([50 * MB] * 4, head=200 * MB),
    )
    order = ["b/cuda:0", "c/cuda:0"]
    tables = build_tables(question.problem(), device_limits(question.problem()))
    assert best_split(tables, order)[1] == ()
    assert [stage[0] for stage in best_split(tables, order[::-1])[1]] == order[::-1]


def test_with_no_time_the_first_order_will_do() -> None:
    """Once time is up, greedy is content with the order it was given."""
    question = case(device("b/cuda:0", 170 * MB), device("c/cuda:0", 170 * MB, 2e11))
    problem, order = question.problem(), ["b/cuda:0", "c/cuda:0"]
    hasty, _ = solve_greedily(problem, order, lambda: True)
    assert hasty == best_split(build_tables(problem, device_limits(problem)), order)[0]
    assert solve_greedily(problem, order)[0] <= hasty


def test_a_shared_memory_is_taken_in_order() -> None:
    """The first device of a shared memory takes what it can, and the next one what is left."""
    cpus = [device(f"b/cpu:{index}", 160 * MB) for index in range(2)]
    question = Case(
        registry(*cpus, nodes=("a",), ram={"b": 300 * MB}), workload([50 * MB] * 4), options()
    )
    objective, placement = solve_greedily(question.problem(), ["b/cpu:1", "b/cpu:0"])
    assert len(placement) == 2
    assert math.isfinite(objective)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_of_hundreds_of_devices_enough_are_looked_at(objective: Objective) -> None:
    """A long order is cut where its devices hold the model amply, and whole where they do not."""
    many = [device(f"n{at:03}/cuda:0", 120 * MB, 1e11 + at) for at in range(3 * AT_LEAST)]
    order = [one.id for one in many]
    for n_block in (4, 40):
        question = case(*many, model=workload([50 * MB] * n_block), asked=options(objective))
        placement = solve_greedily(question.problem(), order)[1]
        assert placement[-1][2] == n_block - 1
    used = {name for name, _, _ in placement}
    assert used - set(order[:AT_LEAST])


def test_where_the_short_list_fails_the_whole_order_is_tried() -> None:
    """Devices that are ample together but too small for the head do not end the search."""
    small = [device(f"n{at:03}/cuda:0", 150 * MB) for at in range(AT_LEAST)]
    large = device("z/cuda:0", 400 * MB)
    question = case(*small, large, model=workload(head=200 * MB))
    order = [one.id for one in (*small, large)]
    assert solve_greedily(question.problem(), order)[1][-1][0] == "z/cuda:0"


def test_what_cannot_fit_is_not_tried() -> None:
    """Where all memory together is short, the answer is that there is none."""
    assert solve_greedily(case(device("b/cuda:0", 100 * MB)).problem(), ["b/cuda:0"]) == (
        math.inf,
        (),
    )


def test_no_devices_hold_nothing() -> None:
    """An order without devices of the tables gives no placement."""
    problem = case(device("b/cuda:0")).problem()
    assert best_split(build_tables(problem, {}), ["b/cuda:0"]) == (math.inf, ())
