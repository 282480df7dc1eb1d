"""From a placement to the plan document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.plan import (
    Bound,
    Host,
    HostMemory,
    ModelSummary,
    Plan,
    Predicted,
    SolverReport,
    Stage,
)
from hgx.planner.constraints import device_limits
from hgx.planner.explain import explain
from hgx.planner.placement import first_token_s, price, total_objective
from hgx.planner.scores import score_devices
from hgx.planner.search.found import WORTHWHILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.options import PlanOptions
    from hgx.core.workload import Workload
    from hgx.planner.placement import Placement, PricedStage
    from hgx.planner.problem import Problem
    from hgx.planner.shortage import Shortage


def make_plan(problem: Problem, placement: Placement, bound: float, report: SolverReport) -> Plan:
    """Write out a feasible placement.

    Args:
        problem: The problem for the chosen coordinator.
        placement: A placement that keeps all constraints.
        bound: No placement has an objective below this, in seconds.
        report: How it was found.
    """
    registry, workload, options, _ = problem.question
    stages = price(problem, placement, device_limits(problem))
    objective = total_objective(problem, stages)
    proven = bound >= objective * (1 - WORTHWHILE)
    floor = objective if proven else max(0.0, min(bound, objective))
    return Plan(
        model=summarise(workload),
        objective=options.objective,
        status="optimal" if proven else "feasible",
        predicted=_predict(problem, stages, options),
        bound=Bound(value=floor, gap=(objective - floor) / objective),
        solver=report,
        stages=tuple(_stage(stage, problem.experts_away) for stage in stages),
        backend_sampling=stages[-1].samples,
        host=_host(problem),
        scores=score_devices(registry, problem.coordinator, workload.n_embd),
        why=tuple(explain(problem, stages, proven=proven)),
        ctx=options.ctx,
    )


def infeasible_plan(problem: Problem, shortage: Shortage, report: SolverReport) -> Plan:
    """Write out that nothing fits, and why; the first sentence says by how much."""
    registry, workload, options, _ = problem.question
    return Plan(
        model=summarise(workload),
        objective=options.objective,
        status="infeasible",
        predicted=None,
        bound=None,
        solver=report,
        stages=(),
        host=_host(problem),
        scores=score_devices(registry, problem.coordinator, workload.n_embd),
        why=shortage.sentences,
        ctx=options.ctx,
        cures=shortage.cures,
    )


def summarise(workload: Workload) -> ModelSummary:
    """The part of a workload that a plan repeats."""
    return ModelSummary(
        path=workload.path,
        architecture=workload.architecture,
        name=workload.name,
        parameters=workload.parameters,
        file_bytes=workload.file_bytes,
        n_block=workload.n_block,
        n_embd=workload.n_embd,
        n_vocab=workload.n_vocab,
    )


def _predict(problem: Problem, stages: Sequence[PricedStage], options: PlanOptions) -> Predicted:
    tpot = sum(stage.decode_s for stage in stages)
    slowest = max(stage.decode_s for stage in stages)
    step = slowest if options.objective == "throughput" else tpot
    return Predicted(
        ttft_s=first_token_s(problem, stages),
        tpot_s=tpot,
        tokens_per_s=options.parallel / step,
    )


def _stage(stage: PricedStage, experts_away: int) -> Stage:
    end = min(experts_away, stage.last_block + 1)
    return Stage(
        device=stage.slot.device,
        first_block=stage.first_block,
        last_block=stage.last_block,
        output_head=stage.output_head,
        memory=stage.memory,
        seconds_per_token=stage.decode_s,
        experts_away=max(0, end - stage.first_block),
    )


def _host(problem: Problem) -> Host:
    weights = int(problem.footprint.host_weights)
    compute = int(problem.footprint.host_compute)
    capacity = problem.host_capacity
    return Host(
        node=problem.coordinator,
        memory=HostMemory(
            weights_bytes=weights,
            kv_bytes=0,
            compute_bytes=compute,
            total_bytes=weights + compute,
            capacity_bytes=None if capacity is None else int(capacity),
        ),
    )
