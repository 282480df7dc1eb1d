"""Which of several quantisations of a model to run: the best one that is fast enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.core.quantisations import Quantisation, Selection
from hgx.errors import Infeasible, ModelError, OutOfTime
from hgx.flows.model import read_model
from hgx.flows.plan import plan_workload
from hgx.units import format_bytes, format_seconds, format_tokens

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan, Predicted
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.store.ledger import Ledger


class Speed(NamedTuple):
    """How fast a model is to be.

    Attributes:
        tokens_per_s: At least so many.
        max_ttft_s: The first token after so many seconds at most; null where it does not matter.
    """

    tokens_per_s: float
    max_ttft_s: float | None = None


def select_quantisation(
    models: Sequence[str | os.PathLike[str]],
    registry: Registry,
    options: PlanOptions,
    this_node: str | None,
    speed: Speed,
    *,
    ledger: Ledger | None = None,
) -> Selection:
    """Plan every file, and take the one with most bits per weight of those that are fast enough.

    Args:
        models: GGUF files of one model.
        registry: Nodes, devices and links.
        options: How it will be run; the time limit holds for each file.
        this_node: Id of this machine.
        speed: What is wished.
        ledger: Served requests, by which predictions are corrected.

    Raises:
        ModelError: A file cannot be read as a model, or is of another model than the first.
        RegistryError: The options name a coordinator that the registry does not have.
    """
    workloads = [read_model(model) for model in models]
    for other in workloads[1:]:
        _check_same(workloads[0], other)
    workloads.sort(key=lambda one: (-_bits(one), -one.file_bytes))
    rows: list[Quantisation] = []
    best: Plan | None = None
    for workload in workloads:
        plan: Plan | None = None
        try:
            plan = plan_workload(workload, registry, options, this_node, ledger=ledger)
        except OutOfTime as error:
            lacks = error.message
        else:
            lacks = plan.why[0] if plan.status == "infeasible" else None
        predicted = plan.predicted if plan else None
        meets = predicted is not None and _share(predicted, speed) >= 1
        if meets and best is None:
            best = plan
        rows.append(
            Quantisation(
                path=workload.path,
                file_bytes=workload.file_bytes,
                bits_per_weight=_bits(workload),
                status=plan.status if plan else None,
                predicted=predicted,
                meets=meets,
                lacks=lacks,
            )
        )
    return Selection(
        tokens_per_s=speed.tokens_per_s,
        max_ttft_s=speed.max_ttft_s,
        quantisations=tuple(rows),
        best=best.model.path if best else None,
        plan=best,
    )


def require_selected(selection: Selection) -> None:
    """Turn a selection without a best one into the error that says how near the nearest comes.

    Raises:
        Infeasible: No quantisation is fast enough, or none fits.
    """
    if selection.best is not None:
        return
    speed = Speed(selection.tokens_per_s, selection.max_ttft_s)
    count = len(selection.quantisations)
    every = f"none of {count} quantisations" if count > 1 else "no quantisation"
    fitting = [(_share(it.predicted, speed), it) for it in selection.quantisations if it.predicted]
    if not fitting:
        least = min(selection.quantisations, key=lambda it: it.file_bytes)
        msg = f"{every} fits, not even {least.path} ({format_bytes(least.file_bytes)})"
        raise Infeasible(f"{msg}: {least.lacks}")
    share, nearest = max(fitting, key=lambda one: one[0])
    within = "" if speed.max_ttft_s is None else f" with {_first(speed.max_ttft_s)}"
    promised = nearest.predicted
    reached = "" if promised is None else format_tokens(promised.tokens_per_s)
    if promised is not None and speed.max_ttft_s is not None:
        reached += f" and {_first(promised.ttft_s)}"
    msg = (
        f"{every} gives {format_tokens(speed.tokens_per_s)}{within}: {nearest.path} comes nearest "
        f"with {reached}, {share:.0%} of that"
    )
    raise Infeasible(msg)


def _first(seconds: float) -> str:
    return f"the first token after {format_seconds(seconds)}"


def _check_same(first: Workload, other: Workload) -> None:
    """Check that two files can be of one model.

    Raises:
        ModelError: They differ in what a quantisation leaves as it is.
    """
    for what, one, wanted in (
        ("architecture", other.architecture, first.architecture),
        ("number of blocks", other.n_block, first.n_block),
        ("width", other.n_embd, first.n_embd),
    ):
        if one != wanted:
            msg = (
                f"{other.path} is another model than {first.path}: its {what} is {one}, not "
                f"{wanted}; name quantisations of one model"
            )
            raise ModelError(msg)


def _bits(workload: Workload) -> float:
    """Bits per weight."""
    return 8 * workload.file_bytes / max(1, workload.parameters)


def _share(predicted: Predicted, speed: Speed) -> float:
    """Part of the wished speed that is reached, by what it falls short of most; from 1 on all."""
    shares = [1.0]
    if speed.tokens_per_s > 0:
        shares.append(predicted.tokens_per_s / speed.tokens_per_s)
    if speed.max_ttft_s is not None and predicted.ttft_s > 0:
        shares.append(speed.max_ttft_s / predicted.ttft_s)
    return min(shares)
