"""A finished plan, explained: what a token takes, what binds, and what would change that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.explanation import ExplainedPlan, LeftOut
from hgx.flows.links import with_assumed_links
from hgx.flows.plan_sustained import lasting
from hgx.flows.served import learn
from hgx.planner.anatomy import answer_of, dissect, price_answer
from hgx.planner.insight import explain_plan
from hgx.planner.problem import Question

if TYPE_CHECKING:
    from hgx.core.explanation import StageCost
    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.store.ledger import Ledger


def explain(
    plan: Plan,
    workload: Workload,
    registry: Registry,
    options: PlanOptions,
    this_node: str | None,
    *,
    ledger: Ledger | None = None,
) -> ExplainedPlan | None:
    """Say why a plan is as it is.

    Args:
        plan: A plan.
        workload: The model that it is for.
        registry: What it was made for.
        options: Likewise.
        this_node: Id of this machine.
        ledger: Served requests, as they corrected the plan.

    Returns:
        The plan and its explanation; null where it has no placement.
    """
    question = _question(plan, workload, registry, options, this_node=this_node, ledger=ledger)
    kept = {one.id for one in question.registry.devices}
    short = [one.id for one in registry.usable().devices if one.id not in kept]
    known = {(link.source, link.target) for link in registry.links}
    links = {(link.source, link.target) for link in question.registry.links}
    explanation = explain_plan(question, plan, this_node, assumed=frozenset(links - known))
    if explanation is None:
        return None
    strangers = [one.id for one in registry.devices if one.node in registry.unpaired]
    if strangers or short:
        unpaired = tuple(LeftOut(device=name, reason="unpaired") for name in strangers)
        empty = tuple(LeftOut(device=name, reason="battery") for name in short)
        left_out = (*explanation.left_out, *empty, *unpaired)
        explanation = explanation.model_copy(update={"left_out": left_out})
    return ExplainedPlan.model_validate({**dict(plan), "explanation": explanation})


def stage_costs(
    plan: Plan,
    workload: Workload,
    registry: Registry,
    options: PlanOptions,
    this_node: str | None,
    *,
    ledger: Ledger | None = None,
) -> tuple[StageCost, ...]:
    """Take the stages of a plan apart; arguments are as of ``explain``."""
    answer = answer_of(plan)
    if answer is None:
        return ()
    question = _question(plan, workload, registry, options, this_node=this_node, ledger=ledger)
    return dissect(price_answer(question, answer))


def _question(
    plan: Plan,
    workload: Workload,
    registry: Registry,
    options: PlanOptions,
    *,
    this_node: str | None,
    ledger: Ledger | None,
) -> Question:
    """What a plan was asked, once more: of devices as fast as they stay for as long as it runs."""
    usable = with_assumed_links(registry.usable(), this_node).registry
    pinned = [device for device, _, _ in plan.placement] if plan.solver.name == "pinned" else []
    kept = lasting(usable, options, pinned)
    return Question(kept.registry, workload, kept.options, learn(usable, ledger).corrections)
