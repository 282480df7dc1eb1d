"""Everything that can be said of a plan, put together; see ``hgx.core.explanation``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hgx.core.explanation import Binding, Explanation
from hgx.planner.anatomy import answer_of, dissect, links_of, price_answer
from hgx.planner.changes import promising
from hgx.planner.idle import left_out
from hgx.planner.known import numbers, uncertainty
from hgx.planner.marginal import marginals
from hgx.planner.placement import weighted
from hgx.planner.problem import Weights
from hgx.planner.resolve import allow
from hgx.planner.splits import compare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgx.core.explanation import Binds, PhaseSeconds, StageCost
    from hgx.core.plan import Plan
    from hgx.planner.anatomy import Priced
    from hgx.planner.problem import Question
    from hgx.planner.timer import Clock

CHANGES_SHARE = 0.6
"""Part of the time that goes to changes; devices without blocks have the rest."""


def explain_plan(
    question: Question,
    plan: Plan,
    this_node: str | None = None,
    *,
    assumed: frozenset[tuple[str, str]] = frozenset(),
    clock: Clock = time.perf_counter,
) -> Explanation | None:
    """Explain a plan; that takes about as long again as the search for it may take.

    Args:
        question: What was asked; every node in its registry is trusted.
        plan: The answer.
        this_node: Id of the machine that asks, as it was for the plan.
        assumed: Source and target of links that nobody measured or wrote down.
        clock: Seconds, from any origin.

    Returns:
        Null for a plan without a placement.
    """
    answer = answer_of(plan)
    if answer is None:
        return None
    priced = price_answer(question, answer)
    stages = dissect(priced)
    links = links_of(answer.coordinator, stages)
    binds = tuple(sorted(binding(priced, stages), key=lambda one: -(one.share or 0.0)))
    search, limit_s = plan.solver.name != "pinned", question.options.timeout_s
    changes = list(promising(priced, binds, search=search))
    allowance = allow(CHANGES_SHARE * limit_s, len(changes), clock)
    gains, unasked = marginals(priced, changes, this_node, allowance, search=search)
    others = len(question.registry.devices) - len(stages)
    allowance = allow((1 - CHANGES_SHARE) * limit_s, others, clock)
    idle = left_out(priced, this_node, allowance)
    return Explanation(
        objective_s=priced.objective,
        stages=stages,
        links=links,
        binds=binds,
        marginals=tuple(gains),
        left_out=tuple(idle),
        splits=compare(priced, this_node, pinned=not search),
        known=tuple(numbers(priced, links, assumed)),
        error=uncertainty(priced),
        unasked=unasked,
    )


def binding(priced: Priced, stages: Sequence[StageCost]) -> Iterator[Binding]:
    """Say what part of the objective each rate and link takes, and which memories are full.

    The shares add up to 1.

    Args:
        priced: The plan.
        stages: The same, taken apart.
    """
    problem = priced.problem
    seconds: dict[tuple[Binds, str], float] = {}
    slowest = max(priced.stages, key=lambda stage: weighted(stage, problem.peak))
    for stage, cost in zip(priced.stages, stages, strict=True):
        counts = problem.total
        if stage is slowest:
            counts = Weights(*(map(sum, zip(problem.total, problem.peak, strict=True))))
        for phase, weight in ((cost.prompt, counts.prefill), (cost.token, counts.decode)):
            for name, taken in _causes(cost, phase):
                seconds[name] = seconds.get(name, 0.0) + weight * taken
    for (kind, subject), taken in seconds.items():
        if taken > 0:
            yield Binding(kind=kind, subject=subject, share=min(1.0, taken / priced.objective))
    yield from _full(priced)


def _causes(cost: StageCost, phase: PhaseSeconds) -> Iterator[tuple[tuple[Binds, str], float]]:
    work = phase.work
    yield ("bandwidth", cost.device), work.weights_s + work.kv_s
    yield ("arithmetic", cost.device), work.arithmetic_s
    yield ("launch", cost.device), work.launch_s
    yield ("sampling", cost.device), work.sampling_s
    yield ("away", cost.device), work.away_s
    yield ("link", cost.node), phase.wire.total_s


def _full(priced: Priced) -> Iterator[Binding]:
    """Memories of a shared-out model that have no room for one more block."""
    problem, stages = priced.problem, priced.stages
    if len(stages) == 1:
        return
    footprint = problem.footprint
    least = int((footprint.weights + footprint.kv)[: problem.n_block].min())
    for stage in stages:
        left = max(0, stage.memory.capacity_bytes - stage.memory.total_bytes)
        if left < least:
            yield Binding(kind="memory", subject=stage.slot.device, share=None, left_bytes=left)
