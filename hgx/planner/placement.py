"""Placements: who gets which blocks, and what that takes in memory and seconds."""

from __future__ import annotations

import operator
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex, cast

from hgx.core.plan import StageMemory
from hgx.errors import Infeasible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hgx.planner.problem import Problem, Seconds, Slot, Weights

Placement = tuple[tuple[str, int, int], ...]
"""``(device_id, first_block, last_block)`` in pipeline order, both ends included; the output
head goes with the last."""


class PricedStage(NamedTuple):
    """A stage with what it takes; seconds are for the whole prompt and for one token.

    ``samples`` tells whether it draws the tokens from its logits itself.
    """

    slot: Slot
    first_block: int
    last_block: int
    output_head: bool
    memory: StageMemory
    prefill_s: float
    decode_s: float
    wire_s: float
    samples: bool


def check_shape(n_block: int, devices: Iterable[str], placement: Sequence[object]) -> Placement:
    """Check that a placement covers every block once, in order, on known devices.

    Raises:
        Infeasible: It does not; the message says where.
    """
    if not placement:
        raise Infeasible("the placement has no stages: give at least one device its blocks")
    known = set(devices)
    checked = [_check_stage(stage) for stage in placement]
    for device, _, _ in checked:
        if device not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise Infeasible(f"device {device!r} is not in the registry; there are: {listed}")
    twice = [name for name, count in Counter(d for d, _, _ in checked).items() if count > 1]
    if twice:
        raise Infeasible(f"device {twice[0]!r} has two stages: give it one run of blocks")
    following = 0
    for device, first, last in checked:
        if first != following or last < first:
            raise Infeasible(
                f"{device} is given blocks {first} to {last}, but block {following} is next: "
                f"stages must cover blocks 0 to {n_block - 1} in order, without gap or overlap"
            )
        following = last + 1
    if following != n_block:
        raise Infeasible(
            f"the placement ends with block {following - 1}, but the last block is {n_block - 1}"
        )
    return tuple(checked)


def _check_stage(stage: object) -> tuple[str, int, int]:
    """Take a stage as users give it: a tuple or a list, of any whole numbers (numpy's too)."""
    try:
        device, first, last = cast("tuple[object, SupportsIndex, SupportsIndex]", stage)
        if isinstance(device, str):
            return device, operator.index(first), operator.index(last)
    except (TypeError, ValueError):
        pass
    raise Infeasible(f"a stage is (device, first block, last block), not {stage!r}")


def price(problem: Problem, placement: Placement, limits: Mapping[str, float]) -> list[PricedStage]:
    """Add up memory and seconds of every stage.

    Args:
        problem: The problem; every device of the placement must be reachable in it.
        placement: A placement of the right shape.
        limits: Bytes each device may take, reported as its capacity.
    """
    slots = {slot.device: slot for slot in problem.slots}
    order = [slots[device] for device, _, _ in placement]
    stages: list[PricedStage] = []
    for index, (device, first, last) in enumerate(placement):
        slot = order[index]
        head = index == len(placement) - 1
        entered = not (index and _same_far_node(order[index - 1], slot))
        left = head or not _same_far_node(slot, order[index + 1])
        free = slot.on_host and index == 0
        wire = [
            0.0 if free else _wire(phase, entered=entered, left=left, head=head)
            for phase in (slot.prefill, slot.decode)
        ]
        prefill, decode = (
            block_seconds_of(phase, first, last, head=head) for phase in (slot.prefill, slot.decode)
        )
        stages.append(
            PricedStage(
                slot,
                first,
                last,
                head,
                _stage_memory(problem, placement[index], slot, head=head, limit=limits[device]),
                prefill + wire[0],
                decode + wire[1],
                wire[1],
                head and slot.samples and not free,
            )
        )
    return stages


def _same_far_node(one: Slot, other: Slot) -> bool:
    return one.remote and one.node == other.node


def _wire(phase: Seconds, *, entered: bool, left: bool, head: bool) -> float:
    hop = phase.hop
    return hop.turn + entered * hop.enter + (hop.finish if head else left * hop.leave)


def block_seconds_of(phase: Seconds, first: int, last: int, *, head: bool) -> float:
    """Seconds of a run of blocks on its device, without the wire."""
    return float(phase.blocks[first : last + 1].sum()) + (float(phase.blocks[-1]) if head else 0.0)


def _stage_memory(
    problem: Problem, stage: tuple[str, int, int], slot: Slot, *, head: bool, limit: float
) -> StageMemory:
    footprint = problem.footprint
    _, first, last = stage
    run = slice(first, last + 1)
    weights = footprint.weights[run].sum()
    kv = footprint.kv[run].sum()
    scratch = footprint.scratch[run].max()
    if head:
        # Behind others the host's CPU is a worker, with a copy of its own.
        shared = footprint.shared_head if slot.on_host and first == 0 else 0.0
        weights += footprint.weights[-1] - shared
        kv += footprint.kv[-1]
        scratch = max(scratch, footprint.scratch[-1])
    compute = footprint.inputs + footprint.entered[first] + scratch
    if not head:
        compute += footprint.left[last]
    if slot.on_host and first == 0:
        compute -= footprint.shared_compute
    mapped = int(weights) if slot.mapped else 0
    held = int(weights) - mapped
    return StageMemory(
        weights_bytes=held,
        kv_bytes=int(kv),
        compute_bytes=int(compute),
        total_bytes=held + int(kv) + int(compute),
        capacity_bytes=int(problem.host_capacity or limit) if slot.mapped else int(limit),
        mapped_bytes=mapped,
    )


def total_objective(problem: Problem, stages: Sequence[PricedStage]) -> float:
    """Seconds to minimise: a weighted sum over stages, and the slowest one's weighted seconds."""
    total = sum(weighted(stage, problem.total) for stage in stages)
    return total + max(weighted(stage, problem.peak) for stage in stages)


def weighted(stage: PricedStage, weights: Weights) -> float:
    """Seconds of a stage by weights."""
    return weights.prefill * stage.prefill_s + weights.decode * stage.decode_s


def first_token_s(problem: Problem, stages: Sequence[PricedStage]) -> float:
    """Seconds until the first token."""
    whole = sum(stage.prefill_s for stage in stages)
    if not problem.pipelined:
        return whole
    slowest = max(stage.prefill_s for stage in stages)
    return (whole + (problem.batches - 1) * slowest) / problem.batches
