"""The planner's front: choose a coordinator, answer greedily, then search for proof.

Nothing here prints, and the clock is passed in.
"""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.core.options import PlanOptions
from hgx.core.plan import SolverReport
from hgx.errors import Infeasible, OutOfTime, RegistryError
from hgx.planner.answer import infeasible_plan, make_plan
from hgx.planner.bound import lower_bound
from hgx.planner.calibrate import NO_CORRECTIONS
from hgx.planner.constraints import (
    broken_limits,
    bytes_short,
    check_reach,
    device_limits,
    host_shortage,
)
from hgx.planner.exact import solve_exactly
from hgx.planner.greedy import solve_greedily
from hgx.planner.placement import check_shape, price, total_objective
from hgx.planner.problem import Problem, Question, build_problem
from hgx.planner.scores import WEIGHTS, score_devices
from hgx.planner.search import WORTHWHILE
from hgx.planner.shortage import explain_shortage
from hgx.planner.tables import build_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.planner.calibrate import Correction
    from hgx.planner.placement import Placement
    from hgx.planner.reporter import Reporter

    Clock = Callable[[], float]

SEARCH_SHARE = 0.95
MERGING_S = 0.06
"""The search ends when this share of the time limit less these seconds have passed (but not before
half of it): its last layer may still have to be merged, and the answer written."""

GREEDY_BUDGET_S = 0.04
"""After this time the greedy solver tries no further node as coordinator."""

QUICK_STEPS = 30
"""Subgradient steps for a bound beside an answer that was not searched for."""


class _Candidate(NamedTuple):
    """The best placement known with one node as coordinator."""

    problem: Problem
    objective: float
    placement: Placement


def solve(
    registry: Registry,
    workload: Workload,
    options: PlanOptions | None = None,
    *,
    this_node: str | None = None,
    corrections: Mapping[str, Correction] = NO_CORRECTIONS,
    clock: Clock = time.perf_counter,
    reporter: Reporter | None = None,
) -> Plan:
    """Find the best placement of a workload on the devices of a registry.

    Args:
        registry: Nodes, devices and links.
        workload: The model, as ``read_workload`` returns it.
        options: How it will be run, and how long to search.
        this_node: Id of the machine that asks; it becomes the coordinator when the options name
            none and the registry knows it.
        corrections: What served requests taught, by id of device.
        clock: Seconds, from any origin.
        reporter: Watches the search.

    Returns:
        A plan; its status is ``infeasible`` when it is proven that nothing fits.

    Raises:
        RegistryError: The options name a coordinator that the registry does not have.
        OutOfTime: The time limit came before any placement was found.
    """
    options = options or PlanOptions()
    question = Question(registry, workload, options, corrections)
    start = clock()
    limit = options.timeout_s
    deadline = start + max(limit / 2, SEARCH_SHARE * limit - MERGING_S)
    nodes = _coordinators(question, this_node)
    stop = min(start + GREEDY_BUDGET_S, deadline)
    known: list[_Candidate] = []
    for node in nodes:
        known.append(_greedy(build_problem(question, node), lambda: clock() >= stop))
        if clock() >= stop:
            break
    best = min(known, key=lambda candidate: candidate.objective)
    if options.solver == "greedy" and best.placement:
        name, states = "greedy", 0
        complete = len(known) == len(nodes)
        bound = min(_quick_bound(c.problem, best.objective) for c in known) if complete else 0.0
    else:
        problems = [candidate.problem for candidate in sorted(known, key=lambda c: c.objective)]
        untried = (build_problem(question, node) for node in nodes[len(known) :])
        name = "exact"
        best, bound, states = _prove(
            best, chain(problems, untried), lambda: clock() >= deadline, reporter
        )
    report = SolverReport(name=name, elapsed_s=max(0.0, clock() - start), nodes=states)
    if best.placement:
        return make_plan(best.problem, best.placement, bound, report)
    if bound < np.inf:
        raise OutOfTime(
            f"no placement was found within {options.timeout_s:g} s, nor proof that there is "
            "none: allow more time with --timeout, or less context with --ctx"
        )
    return infeasible_plan(best.problem, explain_shortage(best.problem), report)


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
    best: _Candidate | None = None
    refusals: list[Infeasible] = []
    for node in _coordinators(question, this_node):
        problem = build_problem(question, node)
        try:
            objective = _objective_if_allowed(problem, checked)
        except Infeasible as error:
            refusals.append(error)
            continue
        if best is None or objective < best.objective:
            best = _Candidate(problem, objective, checked)
    if best is None:
        raise refusals[0]
    bound = _quick_bound(best.problem, best.objective)
    report = SolverReport(name="pinned", elapsed_s=max(0.0, clock() - start), nodes=0)
    return make_plan(best.problem, checked, bound, report)


def _coordinators(question: Question, this_node: str | None) -> list[str]:
    """Nodes that may be the coordinator, most promising first."""
    registry, workload, options, _ = question
    known = [node.id for node in registry.nodes]
    listed = ", ".join(known) or "none"
    if options.coordinator is not None:
        if options.coordinator not in known:
            raise RegistryError(
                f"coordinator {options.coordinator!r} is not in the registry; there are: {listed}"
            )
        return [options.coordinator]
    if this_node in known:
        return [this_node]
    if not known:
        raise RegistryError("the registry has no nodes: run 'hgx discover' first")
    reachable = _reachable_bytes(registry)
    best = dict.fromkeys(known, 0.0)
    node_of = {device.id: device.node for device in registry.devices}
    for score in score_devices(registry, known[0], workload.n_embd):
        # Without its share for the network, which depends on the very choice to be made.
        own = score.total - WEIGHTS["network"] * score.network
        best[node_of[score.device]] = max(best[node_of[score.device]], own)
    enough = {node: size >= workload.file_bytes for node, size in reachable.items()}
    return sorted(known, key=lambda node: (not enough[node], -best[node], node))


def _reachable_bytes(registry: Registry) -> dict[str, int]:
    """Memory of all devices that each node has, or has a link to."""
    own = {node.id: 0 for node in registry.nodes}
    for device in registry.devices:
        own[device.node] += device.usable_bytes
    pairs = {frozenset((link.source, link.target)) for link in registry.links}
    reachable = dict(own)
    for one, other in (pair for pair in pairs if len(pair) == 2):
        reachable[one] += own[other]
        reachable[other] += own[one]
    return reachable


def _greedy(problem: Problem, expired: Callable[[], bool]) -> _Candidate:
    registry, workload, *_ = problem.question
    scores = score_devices(registry, problem.coordinator, workload.n_embd)
    order = [score.device for score in scores]
    return _Candidate(problem, *solve_greedily(problem, order, expired))


def _prove(
    best: _Candidate,
    problems: Iterable[Problem],
    expired: Callable[[], bool],
    reporter: Reporter | None,
) -> tuple[_Candidate, float, int]:
    """Search every coordinator's problem for something better, or for proof."""
    bound, states = np.inf, 0
    for problem in problems:
        if expired():
            bound = 0.0
            break
        if host_shortage(problem) or bytes_short(problem):
            continue
        outcome = solve_exactly(problem, best.objective, expired, reporter)
        states += outcome.states
        bound = min(bound, outcome.bound)
        if outcome.objective < best.objective:
            best = _Candidate(problem, outcome.objective, outcome.placement)
    return best, min(bound, best.objective), states


def _quick_bound(problem: Problem, objective: float) -> float:
    """A valid bound in a few milliseconds."""
    if host_shortage(problem) or bytes_short(problem):
        return np.inf
    tables = build_tables(problem, device_limits(problem))
    if not tables.classes:
        return np.inf
    bound = lower_bound(tables, objective, QUICK_STEPS).root()
    return objective if bound >= objective * (1 - WORTHWHILE) else bound


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
