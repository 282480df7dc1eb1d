"""A placement of the user's own, predicted as the planner would predict it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hgx.core.options import PlanOptions
from hgx.core.plan import SolverReport
from hgx.errors import Infeasible
from hgx.planner.answer import make_plan
from hgx.planner.arrangements import mapped_problem, problems_of
from hgx.planner.calibrate import NO_CORRECTIONS
from hgx.planner.candidate import Candidate
from hgx.planner.constraints import broken_limits, check_reach, device_limits
from hgx.planner.coordinators import rank_coordinators
from hgx.planner.experts import mixture, with_experts_away
from hgx.planner.placement import check_shape, price, total_objective
from hgx.planner.problem import Question, arrange, build_problem
from hgx.planner.quick import quick_bound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.planner.calibrate import Correction
    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem
    from hgx.planner.timer import Clock


def evaluate(
    registry: Registry,
    workload: Workload,
    placement: Sequence[tuple[str, int, int]],
    options: PlanOptions | None = None,
    *,
    this_node: str | None = None,
    corrections: Mapping[str, Correction] = NO_CORRECTIONS,
    clock: Clock = time.perf_counter,
) -> Plan:
    """Predict what a given placement would do.

    Args:
        registry: Nodes, devices and links.
        workload: The model.
        placement: ``(device_id, first_block, last_block)`` in pipeline order, both ends included;
            the output head goes with the last.
        options: How the model will be run.
        this_node: Id of the machine that asks, as for ``solve``.
        corrections: What served requests taught, by id of device.
        clock: Seconds, from any origin.

    Returns:
        A plan of status ``feasible``, or ``optimal`` where a quick bound shows it. The bound
        holds for the coordinator that the plan names.

    Raises:
        Infeasible: The placement breaks a constraint; the message says which, and by how much.
        RegistryError: The options name a coordinator that the registry does not have.
    """
    question = Question(registry, workload, options or PlanOptions(), corrections)
    start = clock()
    checked = check_shape(workload.n_block, (d.id for d in registry.devices), placement)
    best: Candidate | None = None
    refusals: list[Infeasible] = []
    for node in rank_coordinators(question, this_node):
        arrangement = arrange(question, node, [device for device, _, _ in checked])
        problem = build_problem(question, node, arrangement)
        try:
            if question.options.cpu_experts:
                problem = _with_experts_away(problem, checked)
            objective = _objective_if_allowed(problem, checked)
        except Infeasible as error:
            refusals.append(error)
            mapped = None if question.options.cpu_experts else mapped_problem(problem)
            if mapped is None or not _fits(mapped, checked):
                continue
            problem = mapped
            objective = _objective_if_allowed(problem, checked)
        if best is None or objective < best.objective:
            best = Candidate(problem, objective, checked)
    if best is None:
        raise refusals[0]
    report = SolverReport(name="pinned", elapsed_s=max(0.0, clock() - start), nodes=0)
    return make_plan(best.problem, checked, _bound(best), report)


def _bound(pinned: Candidate) -> float:
    """No placement with the same coordinator has an objective below this, in seconds."""
    problem, objective, _ = pinned
    question = problem.question
    if problem.mapped or problem.experts_away:
        return 0.0  # what else could be on the disk, or with the CPU, was not looked for
    arranged = list(problems_of(question, problem.coordinator))
    bound = min(quick_bound(one, objective) for one in arranged)
    if question.options.cpu_experts == 0:
        return bound
    mixtures = (mixed for one in arranged if (mixed := mixture(one)))
    apart = (quick_bound(one.between(1, one.problem.n_block), objective) for one in mixtures)
    return min([bound, *apart])


def _with_experts_away(problem: Problem, placement: Placement) -> Problem:
    """The problem in which the wished number of blocks has its experts on the host.

    Raises:
        Infeasible: They cannot be there with this placement.
    """
    changed = with_experts_away(problem, problem.question.options.cpu_experts or 0)
    gone = {slot.device for slot in problem.slots} - {slot.device for slot in changed.slots}
    for device, _, _ in placement:
        if device in gone:
            raise Infeasible(
                f"{device} works in the coordinator's RAM, or would leave its experts there from "
                "another machine: use --cpu-experts 0"
            )
    return changed


def _fits(problem: Problem, placement: Placement) -> bool:
    try:
        _objective_if_allowed(problem, placement)
    except Infeasible:
        return False
    return True


def _objective_if_allowed(problem: Problem, placement: Placement) -> float:
    """Objective of a placement with one coordinator.

    Raises:
        Infeasible: It breaks a constraint.
    """
    check_reach(problem, placement)
    stages = price(problem, placement, device_limits(problem))
    broken = next(broken_limits(problem, stages), None)
    if broken is not None:
        raise Infeasible(broken)
    return total_objective(problem, stages)
