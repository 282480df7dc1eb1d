"""Solving: who coordinates, how long it may take, and the laws of an optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from hgx.core.options import PlanOptions
from hgx.errors import Infeasible, OutOfTime, RegistryError
from hgx.planner.evaluate import evaluate
from hgx.planner.solve import solve
from tests.planner.made import (
    MB,
    OBJECTIVES,
    Case,
    case,
    cases,
    device,
    link,
    objective_of,
    optimum,
    options,
    registry,
    workload,
)

if TYPE_CHECKING:
    from hgx.core.plan import Objective, Plan


class Clock:
    """A clock that goes on by one step whenever it is looked at."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        """The time."""
        self.now += self.step
        return self.now


def coordinator_of(plan: Plan) -> str:
    """The node that a plan names as coordinator."""
    assert plan.host is not None
    return plan.host.node


def hard(objective: Objective = "latency") -> Case:
    """Nine different devices and sixty unequal blocks: more than a few looks at the clock."""
    devices = [
        device(f"n{at}/cuda:0", (150 + 41 * at) * MB, 1e11 * (1 + at % 4), 1e12 * (1 + at))
        for at in range(9)
    ]
    model = workload([(20 + 7 * (at % 5)) * MB for at in range(60)])
    return case(*devices, model=model, asked=options(objective))


# Who coordinates


def test_the_node_that_is_named_coordinates() -> None:
    """What the options say comes before what would be better and before this machine."""
    question = case(device("b/cuda:0"))
    assert coordinator_of(solve(*question, this_node="b")) == "a"


def test_this_machine_coordinates_where_it_is_known() -> None:
    """Where nothing is named, it is this machine, if the registry has it."""
    question = case(device("b/cuda:0"), asked=options(coordinator=None))
    assert coordinator_of(solve(*question, this_node="a")) == "a"
    pinned = evaluate(
        question.registry,
        question.workload,
        [("b/cuda:0", 0, 3)],
        question.options,
        this_node="a",
    )
    assert coordinator_of(pinned) == "a"


def test_else_the_best_node_coordinates() -> None:
    """A machine that the registry does not know leaves the choice to the plan."""
    question = case(
        device("b/cuda:0"), device("c/cuda:0", bandwidth=9e9), asked=options(coordinator=None)
    )
    plan = solve(*question, this_node="elsewhere")
    assert (coordinator_of(plan), plan.status) == ("b", "optimal")


@settings(max_examples=25, deadline=None)
@given(question=cases(coordinators=(None,)))
def test_the_best_coordinator_is_the_best_of_all(question: Case) -> None:
    """The plan without a named coordinator is the best among those with each node named."""
    each = [
        optimum(
            question._replace(options=question.options.model_copy(update={"coordinator": node}))
        )
        for node in "abc"
    ]
    assert optimum(question) == pytest.approx(min(each), rel=1e-8)


def test_an_unknown_coordinator_is_an_error() -> None:
    """The message lists the nodes there are, also where there are none."""
    with pytest.raises(RegistryError, match=r"coordinator 'z' is not in the registry.*: a, b"):
        solve(*case(device("b/cuda:0"), asked=options(coordinator="z")))
    with pytest.raises(RegistryError, match="there are: none"):
        solve(registry(), workload(), options(coordinator="z"))


def test_a_registry_without_nodes_is_an_error() -> None:
    """There is no machine to run on: the message says how to get one."""
    with pytest.raises(RegistryError, match="no nodes: run 'hgx discover'"):
        solve(registry(), workload(), options(coordinator=None))


def test_an_evaluation_picks_the_coordinator_too() -> None:
    """Nodes that cannot coordinate a placement are passed over; where none can, one says why."""
    links = [link("b", "c")]
    apart = registry(device("b/cuda:0"), device("c/cuda:0"), nodes=("a",), links=links)
    asked = options(coordinator=None)
    placement = [("b/cuda:0", 0, 1), ("c/cuda:0", 2, 3)]
    assert coordinator_of(evaluate(apart, workload(), placement, asked)) in ("b", "c")
    alone = apart.model_copy(update={"links": ()})
    with pytest.raises(Infeasible, match="is out of reach"):
        evaluate(alone, workload(), placement, asked)


def test_options_are_optional() -> None:
    """Without options, all defaults hold for solving and for evaluating."""
    question = registry(device("a/cuda:0", 9000 * MB))
    plan = solve(question, workload())
    assert plan.objective == PlanOptions().objective
    assert evaluate(question, workload(), [("a/cuda:0", 0, 3)]).predicted == plan.predicted


def test_a_pinned_placement_may_be_proven() -> None:
    """An evaluation has a bound: optimal where it is tight, feasible where it is not."""
    question = case(device("a/cuda:0"), device("b/cuda:0"))
    best = evaluate(question.registry, question.workload, [("a/cuda:0", 0, 3)], question.options)
    worse = evaluate(question.registry, question.workload, [("b/cuda:0", 0, 3)], question.options)
    assert (best.status, best.solver.name) == ("optimal", "pinned")
    assert worse.status == "feasible"
    assert worse.bound is not None
    assert worse.bound.value == pytest.approx(objective_of(best))


# How long it may take


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("step", [1e-4, 1e-3, 1e-2, 0.1])
def test_when_time_is_up_the_best_so_far_is_the_answer(step: float, objective: Objective) -> None:
    """However slow the machine, there is a plan with a true bound, and a second is not passed."""
    question = hard(objective)
    best = optimum(question)
    asked = question.options.model_copy(update={"timeout_s": 1.0})
    clock = Clock(step)
    plan = solve(question.registry, question.workload, asked, clock=clock)
    assert plan.bound is not None
    assert clock.now <= 1.0 + 3 * step
    assert plan.bound.value <= best * (1 + 1e-9) <= objective_of(plan) * (1 + 2e-9)
    assert plan.bound.gap == pytest.approx(1 - plan.bound.value / objective_of(plan))
    assert (plan.status == "optimal") == (plan.bound.gap == 0.0)
    if step >= 0.1:
        assert plan.status == "feasible"


def test_with_time_for_one_coordinator_only_nothing_is_proven() -> None:
    """Nodes that were not tried as coordinator leave the bound at zero, for greedy too."""
    devices = [device(f"{node}/cuda:0") for node in "bcd"]
    for solver in ("auto", "greedy"):
        asked = options(coordinator=None).model_copy(update={"solver": solver})
        plan = solve(*case(*devices, asked=asked), clock=Clock(25.0))
        assert plan.bound is not None
        assert (plan.status, plan.bound.value, plan.bound.gap) == ("feasible", 0.0, 1.0)


def scarce() -> Case:
    """Blocks that fit, but not in the order of the scores: greedy finds nothing."""
    return case(
        device("b/cuda:0", 170 * MB, flops=2e13),
        device("c/cuda:0", 90 * MB),
        model=workload([50 * MB, 120 * MB], head=MB),
    )


def test_out_of_time_is_not_impossible() -> None:
    """Stopped before anything was found, the solver says that it gave up, and what would help."""
    question = scarce()
    with pytest.raises(OutOfTime, match=r"within 60 s.*--timeout"):
        solve(*question, clock=Clock(100.0))
    assert solve(*question).status == "optimal"


def test_greedy_that_finds_nothing_is_followed_by_the_search() -> None:
    """Asked for greedy only, the answer is exact where greedy has none."""
    question = scarce()
    asked = question.options.model_copy(update={"solver": "greedy"})
    plan = solve(question.registry, question.workload, asked)
    assert (plan.solver.name, plan.status) == ("exact", "optimal")


def test_impossible_is_proven_even_by_a_slow_machine() -> None:
    """Where all bytes together are short, no search is needed to say so."""
    plan = solve(*case(device("b/cuda:0", 60 * MB)), clock=Clock(10.0))
    assert plan.status == "infeasible"


def test_a_greedy_plan_names_its_solver() -> None:
    """Greedy opens no states, and claims optimality only where its bound shows it."""
    asked = options().model_copy(update={"solver": "greedy"})
    question = case(device("a/cuda:0"), device("b/cuda:0"), asked=asked)
    plan = solve(*question)
    assert (plan.solver.name, plan.solver.nodes, plan.status) == ("greedy", 0, "optimal")


def test_a_greedy_bound_counts_coordinators_that_cannot_hold_anything() -> None:
    """Nodes that reach no room for a block, or too little of it, bound nothing from below."""
    asked = options(coordinator=None).model_copy(update={"solver": "greedy"})
    small = [device(f"b/cuda:{at}", 60 * MB) for at in range(9)]
    apart = registry(device("c/cuda:0"), *small, nodes=("a",), links=[])
    plan = solve(apart, workload([70 * MB] * 3), asked)
    assert (plan.status, coordinator_of(plan)) == ("optimal", "c")


def test_the_node_in_the_middle_of_a_star_is_tried_first() -> None:
    """Of many nodes, the one that reaches enough memory answers at once, though it is the last."""
    asked = options(coordinator=None).model_copy(update={"solver": "greedy"})
    leaves = [device(f"n{at:02}/cuda:0", 120 * MB) for at in range(40)]
    links = [link("z", f"n{at:02}") for at in range(40)]
    star = registry(*leaves, nodes=("z",), links=links)
    model = workload([70 * MB] * 20)
    ticking = Clock(0.05)
    plan = solve(star, model, asked, clock=ticking)
    assert (plan.status, coordinator_of(plan)) == ("feasible", "z")
