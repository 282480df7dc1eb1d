"""The plan document that comes out."""

from __future__ import annotations

import pytest

from hgx.core.plan import Plan, SolverReport
from hgx.planner.answer import make_plan, summarise
from hgx.planner.solve import solve
from tests.planner.made import (
    MB,
    OBJECTIVES,
    case,
    device,
    objective_of,
    options,
    registry,
    workload,
)

REPORT = SolverReport(name="test", elapsed_s=0.0, nodes=0)


def test_the_model_is_summarised() -> None:
    """A plan repeats what its reader needs to know the model by."""
    model = workload()
    summary = summarise(model)
    assert summary.model_dump() == {
        name: getattr(model, name) for name in type(summary).model_fields
    }


@pytest.mark.parametrize("share", [1.0, 0.8, 0.0, -1.0, 2.0])
def test_the_gap_is_what_the_bound_leaves_open(share: float) -> None:
    """Proven where the bound reaches the objective; else the gap is the rest, in 0..1."""
    question = case(device("b/cuda:0"))
    objective = objective_of(solve(*question))
    plan = make_plan(question.problem(), (("b/cuda:0", 0, 3),), share * objective, REPORT)
    assert plan.bound is not None
    kept = min(1.0, max(0.0, share))
    assert plan.status == ("optimal" if kept == 1.0 else "feasible")
    assert plan.bound.gap == pytest.approx(1 - kept)
    assert plan.bound.value == pytest.approx(kept * objective)


@pytest.mark.parametrize("parallel", [1, 4])
def test_tokens_per_second_follow_the_objective(parallel: int) -> None:
    """Under latency streams wait for the whole pipeline; under throughput for the slowest stage."""
    devices = (device("a/cuda:0", 170 * MB, 2e11), device("b/cuda:0", 170 * MB))
    for objective in OBJECTIVES:
        plan = solve(*case(*devices, asked=options(objective, parallel=parallel)))
        assert plan.predicted is not None
        seconds = [stage.seconds_per_token for stage in plan.stages]
        assert len(seconds) == 2
        step = max(seconds) if objective == "throughput" else sum(seconds)
        assert plan.predicted.tokens_per_s == pytest.approx(parallel / step)
        assert plan.predicted.tpot_s == pytest.approx(sum(seconds))


def test_the_host_is_described() -> None:
    """The coordinator's buffers are listed with what it may take, or null where unknown."""
    unknown = solve(*case(device("b/cuda:0"))).host
    known = solve(
        registry(device("b/cuda:0"), nodes=("a",), ram={"a": 900 * MB}), workload(), options()
    ).host
    assert unknown is not None
    assert known is not None
    assert (unknown.node, unknown.memory.capacity_bytes) == ("a", None)
    assert known.memory.capacity_bytes == 900 * MB
    assert known.memory.weights_bytes == 20 * MB
    assert known.memory.total_bytes == known.memory.weights_bytes + known.memory.compute_bytes


def test_a_plan_survives_its_file() -> None:
    """Written as JSON and read again, feasible or not, a plan is the same."""
    for memory in (1000, 30):
        plan = solve(*case(device("b/cuda:0", memory * MB)))
        assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_scores_are_those_of_the_coordinator() -> None:
    """Every device of the registry is scored as its plan's coordinator sees it."""
    question = case(device("a/cuda:0"), device("b/cuda:0"))
    plan = solve(*question)
    assert {score.device: score.network == 1.0 for score in plan.scores} == {
        "a/cuda:0": True,
        "b/cuda:0": False,
    }
