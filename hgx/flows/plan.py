"""Planning, composed: read the model, know this machine, solve or evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.options import PlanOptions
from hgx.errors import Infeasible
from hgx.flows.context import choose_context
from hgx.flows.links import with_assumed_links
from hgx.flows.plan_battery import age_notes, battery_notes
from hgx.flows.plan_sustained import heat_notes, lasting
from hgx.flows.served import learn
from hgx.gguf.workload import read_workload
from hgx.planner.evaluate import evaluate as evaluate_for
from hgx.planner.problem import Question
from hgx.planner.solve import solve as solve_for
from hgx.store.home import Home

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.flows.context import Longest
    from hgx.flows.plan_sustained import Lasting
    from hgx.store.ledger import Ledger


def solve(registry: Registry, workload: Workload, options: PlanOptions | None = None) -> Plan:
    """Find the best placement of a model on the devices of a registry.

    Args:
        registry: Nodes, devices and links, as ``load_registry`` returns them.
        workload: The model, as ``read_model`` returns it.
        options: How it will be run and how long to search; all defaults when absent.

    Returns:
        The plan. Its status is ``optimal`` where that is proven, ``feasible`` where the time
        limit ended the search (its bound and gap say how far from optimal it can be at most), and
        ``infeasible`` where it is proven that nothing fits (``why`` says what is short).

    Raises:
        RegistryError: The options name a coordinator that the registry does not have.
        OutOfTime: The time limit came before any placement was found.
    """
    return plan_workload(workload, registry, options, Home().node_id())


def evaluate(
    registry: Registry,
    workload: Workload,
    placement: Sequence[tuple[str, int, int]],
    options: PlanOptions | None = None,
) -> Plan:
    """Predict what a placement of one's own would do.

    Args:
        registry: Nodes, devices and links.
        workload: The model.
        placement: ``(device_id, first_block, last_block)`` in pipeline order, both ends included;
            the output head goes with the last.
        options: How the model will be run; all defaults when absent.

    Returns:
        The plan, with memory and seconds per stage.

    Raises:
        Infeasible: The placement breaks a constraint; the message says which, and by how much.
        RegistryError: The options name a coordinator that the registry does not have.
    """
    return _evaluate(registry, workload, placement, options, Home().node_id())


def plan_model(
    model: str | os.PathLike[str],
    registry: Registry,
    options: PlanOptions,
    this_node: str | None,
    *,
    ledger: Ledger | None = None,
    longest: Longest | None = None,
) -> tuple[Workload, Plan]:
    """Read a model and find a feasible plan for it.

    Args:
        model: A GGUF file.
        registry: Nodes, devices and links.
        options: How it will be run.
        this_node: Id of this machine.
        ledger: Served requests, by which predictions are corrected.
        longest: Asks for the longest context that fits in place of that of the options.

    Raises:
        ModelError: The file cannot be read as a model.
        Infeasible: It is proven that nothing fits.
        RegistryError: The options name a coordinator that the registry does not have.
        OutOfTime: The time limit came before any placement was found.
    """
    workload = read_workload(model)
    _check_experts(workload, options)
    options, notes = choose_context(workload, registry, options, this_node, longest)
    plan = plan_workload(workload, registry, options, this_node, ledger=ledger)
    require_feasible(plan)
    return workload, _with_notes(plan, notes)


def draft_plan(
    workload: Workload,
    registry: Registry,
    options: PlanOptions,
    this_node: str | None,
    placement: Sequence[tuple[str, int, int]] = (),
    *,
    ledger: Ledger | None = None,
    longest: Longest | None = None,
) -> Plan:
    """Plan a model, or predict a placement where one is given.

    Args:
        workload: The model, as ``read_model`` returns it.
        registry: Nodes, devices and links.
        options: How it will be run.
        this_node: Id of this machine.
        placement: A placement to predict, in place of a search.
        ledger: Served requests, by which predictions are corrected.
        longest: Asks for the longest context that fits in place of that of the options.

    Raises:
        Infeasible: The placement breaks a constraint; a search that finds nothing does not raise.
        RegistryError: The options name a coordinator that the registry does not have.
        OutOfTime: The time limit came before any placement was found.
    """
    _check_experts(workload, options)
    options, notes = choose_context(
        workload, registry, options, this_node, longest, placement=placement
    )
    if placement:
        plan = _evaluate(registry, workload, placement, options, this_node, ledger=ledger)
    else:
        plan = plan_workload(workload, registry, options, this_node, ledger=ledger)
    return _with_notes(plan, notes)


def _check_experts(workload: Workload, options: PlanOptions) -> None:
    """Check that a model has as many blocks as are to leave their experts to the host.

    Raises:
        Infeasible: It has not, or has no experts.
    """
    wished = options.cpu_experts or 0
    if wished and not any(block.expert_bytes for block in workload.blocks):
        raise Infeasible("the model has no experts that could stay in RAM: leave out --cpu-experts")
    if wished > workload.n_block:
        raise Infeasible(
            f"the model has {workload.n_block} blocks: --cpu-experts {wished} is more than that"
        )


def require_feasible(plan: Plan) -> None:
    """Turn a plan that says "impossible" into the error that says so.

    Raises:
        Infeasible: The plan's status is ``infeasible``.
    """
    if plan.status == "infeasible":
        raise Infeasible("; ".join(plan.why), cures=plan.why[1:])


def plan_workload(
    workload: Workload,
    registry: Registry,
    options: PlanOptions | None,
    this_node: str | None,
    *,
    ledger: Ledger | None = None,
) -> Plan:
    """Plan a model that was read, by what is known of this machine and of served requests.

    Args:
        workload: The model.
        registry: Nodes, devices and links.
        options: How it will be run; all defaults when absent.
        this_node: Id of this machine.
        ledger: Served requests, by which predictions are corrected.

    Raises:
        RegistryError: The options name a coordinator that the registry does not have.
        OutOfTime: The time limit came before any placement was found.
    """
    usable, assumed = with_assumed_links(registry.usable(), this_node)
    lessons = learn(usable, ledger)
    question = Question(usable, workload, options or PlanOptions(), lessons.corrections)
    slowed = lasting(usable, question.options)
    plan = solve_for(
        slowed.registry,
        workload,
        slowed.options,
        this_node=this_node,
        corrections=lessons.corrections,
    )
    plan = _with_burst(plan, slowed, question)
    return _with_notes(plan, (*assumed, *lessons.notes, *_strangers(registry)))


def _with_burst(plan: Plan, slowed: Lasting, question: Question) -> Plan:
    """Add what the placement promises while devices are cool, and what heat and batteries allow."""
    options, used = question.options, {stage.device for stage in plan.stages}
    if options.duration_s is None:
        return plan
    devices = [device for device in question.registry.devices if device.id in used]
    coordinator = plan.host and plan.host.node
    partners = {coordinator, *(one.node for one in devices)}
    partners -= {one.node for one in slowed.batteries}
    notes = (
        *heat_notes(slowed, devices, options.duration_s),
        *battery_notes(slowed.batteries, coordinator, options.duration_s),
        *age_notes(one for one in question.registry.nodes if one.id in partners),
    )
    if not used & slowed.shares.keys() or plan.host is None:
        return _with_notes(plan, notes)
    asked = options.model_copy(
        update={"coordinator": plan.host.node, "cpu_experts": plan.experts_away or None}
    )
    cool = evaluate_for(
        question.registry,
        question.workload,
        plan.placement,
        asked,
        corrections=question.corrections,
    )
    return _with_notes(plan.model_copy(update={"burst": cool.predicted}), notes)


def _evaluate(
    registry: Registry,
    workload: Workload,
    placement: Sequence[tuple[str, int, int]],
    options: PlanOptions | None,
    this_node: str | None,
    *,
    ledger: Ledger | None = None,
) -> Plan:
    strange = registry.unpaired
    for device in registry.devices if strange else ():
        if device.node in strange and any(device.id in stage for stage in placement):
            msg = f"{device.id} is on a machine that is not paired with this one: leave it out"
            raise Infeasible(msg)
    usable, assumed = with_assumed_links(registry.usable(), this_node)
    lessons = learn(usable, ledger)
    question = Question(usable, workload, options or PlanOptions(), lessons.corrections)
    slowed = lasting(usable, question.options, [device for device, _, _ in placement])
    plan = evaluate_for(
        slowed.registry,
        workload,
        placement,
        slowed.options,
        this_node=this_node,
        corrections=lessons.corrections,
    )
    plan = _with_burst(plan, slowed, question)
    return _with_notes(plan, (*assumed, *lessons.notes, *_strangers(registry)))


def _strangers(registry: Registry) -> tuple[str, ...]:
    """Say which machines were not even considered."""
    names = ", ".join(sorted(registry.unpaired))
    return (f"not paired, so not used: {names}",) if names else ()


def _with_notes(plan: Plan, notes: tuple[str, ...]) -> Plan:
    return plan.model_copy(update={"why": (*plan.why, *notes)}) if notes else plan
