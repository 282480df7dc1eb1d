"""What is different in a plan from an earlier one that was written to a file."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hgx.core.compared import Move, PlanChanges
from hgx.core.plan import Plan
from hgx.errors import StorageError
from hgx.flows.compared import ratio_of, summarise
from hgx.store.atomic import shown_path
from hgx.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST_BYTES = 64 * MIB
"""A plan takes some kilobytes: more is a mistaken file."""


def load_plan(path: Path) -> Plan:
    """Read a plan as ``hgx plan -o`` writes it.

    Raises:
        StorageError: The file cannot be read, or holds no plan; it says where and what to do.
    """
    remedy = "give a file that hgx plan -o wrote"
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        msg = f"{shown_path(path)} could not be read: {reason.lower()}: {remedy}"
        raise StorageError(msg) from error
    if len(data) > _LARGEST_BYTES:
        msg = f"{shown_path(path)} is larger than {_LARGEST_BYTES // MIB} MiB and no plan: {remedy}"
        raise StorageError(msg)
    try:
        return Plan.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        what = f"{place}: {fault['msg']}" if place else fault["msg"]
        msg = f"{shown_path(path)} is not a plan ({ascii(what)[1:-1]}): {remedy}"
        raise StorageError(msg) from error


def compare_plans(before: Plan, after: Plan) -> PlanChanges:
    """Say what is different in a plan from an earlier one.

    Args:
        before: The earlier plan.
        after: The later one.
    """
    old, new = summarise(before), summarise(after)
    return PlanChanges(
        before=old,
        after=new,
        moves=tuple(_moves(before, after)),
        ratio=ratio_of(old, new),
        notes=tuple(_notes(before, after)),
    )


def _moves(before: Plan, after: Plan) -> Iterator[Move]:
    """Runs of layers that moved together; none where layers are not the same ones."""
    layers = after.model.n_block + 1
    if before.model.n_block != after.model.n_block:
        return
    old, new = _homes(before), _homes(after)
    ways = groupby(range(layers), key=lambda layer: (old.get(layer), new.get(layer)))
    for (source, target), group in ways:
        run = list(group)
        if source != target:
            yield Move(first_layer=run[0], last_layer=run[-1], source=source, target=target)


def _homes(plan: Plan) -> dict[int, str]:
    """The device of each layer; the output head is the one after the last block."""
    return {
        layer: stage.device
        for stage in plan.stages
        for layer in range(stage.first_block, stage.last_block + 1 + stage.output_head)
    }


def _notes(before: Plan, after: Plan) -> Iterator[str]:
    """What else is different."""
    old, new = before.model, after.model
    if (old.name, old.architecture, old.n_block, old.file_bytes) != (
        new.name,
        new.architecture,
        new.n_block,
        new.file_bytes,
    ):
        yield f"the models are different: {old.name or old.path}, now {new.name or new.path}"
    if before.objective != after.objective:
        yield f"the objectives are different: {before.objective}, now {after.objective}"
    if before.ctx and after.ctx and before.ctx != after.ctx:
        yield f"the contexts are different: {before.ctx} tokens, now {after.ctx}"
    if before.host and after.host and before.host.node != after.host.node:
        yield f"the coordinators are different: {before.host.node}, now {after.host.node}"
    if before.stages and after.stages and before.backend_sampling != after.backend_sampling:
        where = "the device with the output head" if after.backend_sampling else "the coordinator"
        yield f"tokens are drawn by {where} now"
