"""The longest context that fits: as many tokens of a conversation as memory has room for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from hgx.errors import Infeasible
from hgx.flows.links import with_assumed_links
from hgx.flows.plan_battery import powered
from hgx.planner.cures import CTX_STEP, largest
from hgx.planner.evaluate import evaluate
from hgx.planner.fits import fits
from hgx.planner.problem import Question
from hgx.planner.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.options import PlanOptions
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.planner.timer import Clock

LIMIT = 1 << 20
"""Tokens beyond which no context is looked for, where a model does not say what it was trained for;
a recurrent one takes any number."""

PARTS = 4
"""One context is tried for no more than this part of the time that is left."""


class Longest(NamedTuple):
    """The wish for the longest context that fits.

    Attributes:
        most: No longer than so many tokens; null for what the model was trained for.
    """

    most: int | None = None


class Chosen(NamedTuple):
    """Options with a context, and how it came about.

    Attributes:
        options: With that context.
        notes: One sentence, or nothing where none was looked for or none was found.
    """

    options: PlanOptions
    notes: tuple[str, ...] = ()


def choose_context(
    workload: Workload,
    registry: Registry,
    options: PlanOptions,
    this_node: str | None,
    longest: Longest | None,
    *,
    placement: Sequence[tuple[str, int, int]] = (),
    clock: Clock = time.perf_counter,
) -> Chosen:
    """Find the longest context that fits, in steps of 256 tokens, where that is wished.

    A context for which all weights are in memory goes before a longer one for which they are not.

    Args:
        workload: The model.
        registry: All that is known.
        options: How it will be run; the time limit holds for looking too.
        this_node: Id of this machine.
        longest: The wish; the options are returned as they are where there is none.
        placement: Where the blocks are to be; anywhere where it is empty.
        clock: Seconds, from any origin.

    Returns:
        The shortest context where none fits: what is made of that says why.

    Raises:
        RegistryError: The options name a coordinator that the registry does not have.
    """
    if longest is None:
        return Chosen(options)
    linked, _ = with_assumed_links(registry.usable(), this_node)
    usable, kept, _ = powered(linked, options, [device for device, _, _ in placement])
    timer = Timer(clock, clock() + options.timeout_s)
    most = longest.most or workload.n_ctx_train or LIMIT
    steps = range(CTX_STEP, most + 1, CTX_STEP) or range(most, most + 1)

    def decide(asked: PlanOptions, *, from_disk: bool) -> bool | None:
        if not placement:
            question = Question(usable, workload, asked)
            return fits(question, this_node, timer.share(PARTS), from_disk=from_disk)
        try:
            plan = evaluate(usable, workload, placement, asked, this_node=this_node)
        except Infeasible:
            return False
        return from_disk or not plan.mapped

    for from_disk in (False, True):
        known: dict[int, bool | None] = {}

        def fit(ctx: int) -> bool:
            asked = kept.model_copy(update={"ctx": ctx})
            known[ctx] = decide(asked, from_disk=from_disk)  # noqa: B023 - used within the round
            return known[ctx] is True  # noqa: B023 - used within the round

        ctx = largest(steps, fit)
        if ctx is not None:
            proven = ctx == steps[-1] or known[ctx + CTX_STEP] is False
            note = _note(workload, longest, ctx, whole=ctx == steps[-1], proven=proven)
            how = ", with weights that are read from the disk" if from_disk else ""
            return Chosen(options.model_copy(update={"ctx": ctx}), (note + how,))
    return Chosen(options.model_copy(update={"ctx": steps[0]}))


def _note(workload: Workload, longest: Longest, ctx: int, *, whole: bool, proven: bool) -> str:
    if not whole:
        tried = "" if proven else " of those that could be tried in time"
        return f"context {ctx}: the longest that fits{tried}"
    if longest.most is not None:
        return f"context {ctx}: all that was asked for"
    if workload.n_ctx_train is not None:
        return f"context {ctx}: all that the model was trained for"
    return f"context {ctx}: the model does not say how long a context it was trained for"
