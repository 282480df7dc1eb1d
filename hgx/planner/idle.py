"""Why devices have no blocks: each is required once, and that problem is solved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.explanation import LeftOut
from hgx.errors import OutOfTime
from hgx.planner.resolve import solve_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.planner.anatomy import Priced
    from hgx.planner.resolve import Allowance


def left_out(priced: Priced, this_node: str | None, allowance: Allowance) -> Sequence[LeftOut]:
    """Find out why devices have no blocks.

    Args:
        priced: The plan.
        this_node: Id of the machine that asks.
        allowance: How long it may take.

    Returns:
        One entry per device without blocks, in the registry's order.
    """
    problem, stages = priced.problem, priced.stages
    used = {stage.slot.device for stage in stages}
    found: list[LeftOut] = []
    for device in problem.question.registry.devices:
        if device.id in used:
            continue
        if device.id in problem.refused:
            found.append(LeftOut(device=device.id, reason="refused"))
        elif device.id in problem.unreachable:
            found.append(LeftOut(device=device.id, reason="unreachable"))
        elif allowance.expired():
            found.append(LeftOut(device=device.id, reason="open"))
        else:
            found.append(_with_it(priced, device.id, this_node, allowance.each_s))
    return found


def _with_it(priced: Priced, device: str, this_node: str | None, limit_s: float) -> LeftOut:
    question = priced.problem.question
    options = question.options
    wanted = options.model_copy(update={"require": (*options.require, device)})
    try:
        solved = solve_within(question._replace(options=wanted), this_node, limit_s)
    except OutOfTime:
        return LeftOut(device=device, reason="open")
    if solved is None:
        return LeftOut(device=device, reason="impossible", proven=True)
    longer = solved.objective / priced.objective - 1.0
    return LeftOut(device=device, reason="slower", longer=longer, proven=solved.proven)
