"""The exact solver finds the optimum, and proves it."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings

from hgx.gguf.arrangement import Arrangement
from hgx.planner.constraints import bytes_short, host_shortage
from hgx.planner.evaluate import evaluate
from hgx.planner.placement import total_objective
from hgx.planner.problem import Question
from hgx.planner.search.exact import solve_exactly
from hgx.planner.solve import solve
from tests.planner.by_hand import allowed, never
from tests.planner.made import (
    LONG_PROMPT,
    MB,
    OBJECTIVES,
    PROMPTS,
    RPC_MODES,
    Case,
    best_by_hand,
    block,
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
from tests.planner.oracles.reading import least

if TYPE_CHECKING:
    from hgx.core.options import RpcMode
    from hgx.core.plan import Objective


def assert_optimal(question: Case, best: float) -> None:
    """The solver proves what was found in another way, or that there is nothing."""
    plan = solve(*question)
    if math.isinf(best):
        assert plan.status == "infeasible"
        return
    assert plan.status == "optimal"
    assert objective_of(plan, question) == pytest.approx(best, rel=1e-8)


@settings(max_examples=80, deadline=None)
@given(question=cases(prompts=PROMPTS))
def test_the_optimum_is_that_of_trying_everything(question: Case) -> None:
    """Whatever stands where and shares what, no placement evaluates to less than the plan."""
    assert_optimal(question, best_by_hand(question))


@settings(max_examples=60, deadline=None)
@given(question=cases(prompts=PROMPTS, wishes=True))
def test_wishes_are_kept_in_the_best_way(question: Case) -> None:
    """Of the placements with what is required, on no more nodes than may, none is better."""
    assert_optimal(question, best_by_hand(question))


@settings(max_examples=20, deadline=None)
@given(question=cases(backends=("cpu", "metal"), blocks=3, coordinators=("a",), prompts=PROMPTS))
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


def far_apart(
    seed: int, objective: Objective, rpc: RpcMode = "async", blocks: int = 40, prompt: int = 100
) -> Case:
    """Six different devices, two of them on one node, for many unequal blocks."""
    draw = random.Random(seed)  # noqa: S311 - for tests, not for secrets
    weights = [draw.randint(10, 60) * MB for _ in range(blocks)]
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
    asked = options(objective, rpc=rpc, prompt_tokens=prompt)
    return Case(registry(*devices, links=links), workload(weights, head=90 * MB), asked)


def searched(question: Case) -> float:
    """The optimum with node ``a`` as coordinator, by a search over sets of devices."""
    return least(Question(*question), "a", lambda problem: Oracle(problem).best())


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(6))
def test_larger_cases_agree_with_a_search_over_sets(seed: int, objective: Objective) -> None:
    """Six devices and forty unequal blocks: the optimum is found in another way too."""
    question = far_apart(seed, objective)
    assert_optimal(question, searched(question))


@pytest.mark.parametrize("rpc", RPC_MODES)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(6, 9))
def test_long_prompts_agree_with_a_search_over_sets(
    seed: int, objective: Objective, rpc: RpcMode
) -> None:
    """Also where the micro-batches of a prompt follow each other, or wait for each other."""
    question = far_apart(seed, objective, rpc, blocks=24, prompt=LONG_PROMPT)
    assert_optimal(question, searched(question))


@settings(max_examples=40, deadline=None)
@given(question=cases(coordinators=("a",), prompts=PROMPTS, wishes=True))
def test_the_search_over_sets_agrees_with_trying_everything(question: Case) -> None:
    """Where no memory is shared, the oracle itself is right, for every arrangement of stages."""
    for problem in question.problems():
        assume(all(len(pool.devices) == 1 for pool in problem.pools))
        best = min(
            (total_objective(problem, stages) for _, stages in allowed(problem)),
            default=math.inf,
        )
        assert Oracle(problem).best() == pytest.approx(best, rel=1e-9)


def assert_each_arrangement_optimal(question: Case) -> None:
    """Every arrangement's optimum is that of trying all that it allows."""
    for problem in question.problems():
        if host_shortage(problem) or bytes_short(problem):
            continue
        best = min(
            (total_objective(problem, stages) for _, stages in allowed(problem)),
            default=math.inf,
        )
        outcome = solve_exactly(problem, math.inf, never)
        assert outcome.objective == pytest.approx(best, rel=1e-8)
        assert outcome.bound == pytest.approx(best, rel=1e-8)


@settings(max_examples=60, deadline=None)
@given(question=cases(coordinators=("a",), prompts=PROMPTS, wishes=True))
def test_every_arrangement_is_solved_by_itself(question: Case) -> None:
    """Who may be first, and what the engine copies then, counts for each arrangement alone."""
    assert_each_arrangement_optimal(question)


def test_alone_the_host_needs_what_it_needs_alone() -> None:
    """As the first of several the host needs less; a plan does not take that for one alone."""
    small = device("b/cuda:0", 60 * MB)
    for room in range(190, 195):
        host = device("a/cpu:0", room * MB + MB // 3)
        question = case(host, small, model=workload([50 * MB] * 3))
        assert_optimal(question, best_by_hand(question))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_all_of_many_quick_devices_may_be_required(objective: Objective) -> None:
    """Whoever could take nearly all blocks leaves some to the others that must have a stage."""
    names = [f"{node}/cuda:0" for node in "bcde"]
    devices = [device(name, bandwidth=1e11 * (1 + at)) for at, name in enumerate(names)]
    asked = options(objective, require=names)
    question = case(*devices, model=workload([10 * MB] * 6), asked=asked)
    problem = question.problem()
    best = min(total_objective(problem, stages) for _, stages in allowed(problem))
    assert_optimal(question, best)


@settings(max_examples=60, deadline=None)
@given(question=cases(devices=4, blocks=5, coordinators=("a",), crossing=True))
def test_what_crosses_needs_room_on_both_sides(question: Case) -> None:
    """Where blocks hand over more than hidden states, every placement is allowed for."""
    assert_each_arrangement_optimal(question)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_shorter_stage_may_need_more_room(objective: Objective) -> None:
    """A device that cannot have the first block alone may have it together with the next."""
    blocks = [block(), block(), block()]
    blocks[0] = blocks[0].model_copy(update={"returned": 30_000})
    question = case(
        device("b/cuda:0", 118 * MB),
        device("c/cuda:0", 85 * MB),
        model=workload(blocks=blocks),
        asked=options(objective),
    )
    outcome = solve_exactly(question.problem(), math.inf, never)
    assert outcome.placement == (("b/cuda:0", 0, 1), ("c/cuda:0", 2, 2))


def test_nothing_beats_the_optimum() -> None:
    """With the optimum as its target the solver finds nothing and proves the target."""
    problem = far_apart(1, "latency").problem(arrangement=Arrangement.HOST_FIRST)
    best = solve_exactly(problem, math.inf, never).objective
    outcome = solve_exactly(problem, best, never)
    assert (outcome.placement, outcome.objective) == ((), math.inf)
    assert outcome.bound == pytest.approx(best, rel=1e-9)


def test_without_time_nothing_is_claimed() -> None:
    """A solver that is stopped before it begins knows no placement and no bound."""
    outcome = solve_exactly(far_apart(2, "latency").problem(), math.inf, lambda: True)
    assert (outcome.placement, outcome.bound, outcome.states) == ((), 0.0, 0)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("patience", [1, 3, 10, 30, 100, 300])
def test_a_stopped_solver_claims_no_more_than_is_true(patience: int, objective: Objective) -> None:
    """Stopped anywhere, also between branches of a shared memory, its bound is not too high."""
    near = [device(f"b/cpu:{index}", 160 * MB, 5e11 + index) for index in range(3)]
    question = Case(
        registry(*near, device("c/cuda:0"), nodes=("a",), ram={"b": 250 * MB}),
        workload([30 * MB, 80 * MB, 30 * MB, 80 * MB, 30 * MB]),
        options(objective),
    )
    problem = question.problem()
    best = min(total_objective(problem, stages) for _, stages in allowed(problem))
    asked = iter(range(10**9))
    outcome = solve_exactly(problem, math.inf, lambda: next(asked) >= patience)
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
@given(question=cases(devices=4, blocks=6, prompts=PROMPTS))
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
