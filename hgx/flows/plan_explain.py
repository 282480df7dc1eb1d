"""A finished plan, explained: what a token takes, what binds, and what would change that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.explanation import ExplainedPlan, LeftOut
from hgx.flows.links import with_assumed_links
from hgx.flows.model import read_model
from hgx.flows.plan_battery import powered
from hgx.flows.served import learn
from hgx.planner.anatomy import answer_of, dissect, price_answer
from hgx.planner.insight import explain_plan
from hgx.planner.problem import Question

if TYPE_CHECKING:
    import os

    from hgx.core.explanation import StageCost
    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.store.ledger import Ledger


def explain(
    plan: Plan,
    model: str | os.PathLike[str],
    registry: Registry,
    options: PlanOptions,
    this_node: str | None,
    *,
    ledger: Ledger | None = None,
) -> ExplainedPlan | None:
    """Say why a plan is as it is.

    Args:
        plan: A plan.
        model: The GGUF file that it is for, or the address of one.
        registry: What it was made for.
        options: Likewise.
        this_node: Id of this machine.
        ledger: Served requests, as they corrected the plan.

    Returns:
        The plan and its explanation; null where it has no placement.

    Raises:
        ModelError: The file cannot be read as a model.
    """
    question = _question(model, registry, options, this_node, ledger)
    pinned = [device for device, _, _ in plan.placement] if plan.solver.name == "pinned" else []
    kept = powered(question.registry, options, pinned)
    short = [one.id for one in question.registry.devices if one not in kept.registry.devices]
    question = question._replace(registry=kept.registry, options=kept.options)
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
    model: str | os.PathLike[str],
    registry: Registry,
    options: PlanOptions,
    this_node: str | None,
    *,
    ledger: Ledger | None = None,
) -> tuple[StageCost, ...]:
    """Take the stages of a plan apart; arguments and errors are as of ``explain``."""
    answer = answer_of(plan)
    if answer is None:
        return ()
    question = _question(model, registry, options, this_node, ledger)
    return dissect(price_answer(question, answer))


def _question(
    model: str | os.PathLike[str],
    registry: Registry,
    options: PlanOptions,
    this_node: str | None,
    ledger: Ledger | None,
) -> Question:
    """What a plan was asked, once more."""
    usable = with_assumed_links(registry.usable(), this_node).registry
    return Question(usable, read_model(model), options, learn(usable, ledger).corrections)
