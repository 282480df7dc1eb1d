"""A mixture of experts on one card that is too small: routed experts stay in the host's memory.

A token uses few of a block's experts, so that they are most of its weights and little of its
work. The engine can leave those of the first blocks to the host's CPU, and run the rest of these
blocks on the card; each of them then hands its hidden states over and takes them back. How many
blocks, is found by trying all numbers: fewer do not fit into the card, more only take longer.

Only a card of the coordinator's own that has all blocks is planned like that. Over a network the
engine would send ten times as much per token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.alone import best_alone
from hgx.planner.calibrate import NEUTRAL
from hgx.planner.cost import block_seconds
from hgx.planner.problem import Seconds
from hgx.planner.work import measure_work, run_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hgx.core.registry import Device
    from hgx.core.workload import Workload
    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem, Slot
    from hgx.planner.work import Batch

    Floats = NDArray[np.float64]

HANDOVER_S = 40e-6
"""Handing a block's hidden states to the CPU and taking them back: a default, never measured."""

BUS_BYTES_PER_S = 12e9
"""Between a card and the host: a default, that of PCI Express 3.0 with 16 lanes."""


class Split(NamedTuple):
    """The best placement of all with experts in the host's memory.

    Attributes:
        problem: In which their cost is that of the host's CPU.
        objective: In seconds; infinite where none fits.
        placement: One stage, or nothing.
    """

    problem: Problem
    objective: float
    placement: Placement


class _Card(NamedTuple):
    """A card, and the seconds of each of its blocks whose experts are on the host's CPU."""

    slot: Slot
    decode: Floats
    prefill: Floats


def best_with_experts_away(problem: Problem) -> Split:
    """Find the best card, and the best number of blocks whose experts are not on it.

    Args:
        problem: Of the arrangement ``ALONE``.
    """
    best = Split(problem, np.inf, ())
    wished = problem.question.options.cpu_experts
    if not any(block.expert_bytes for block in problem.question.workload.blocks):
        return best
    counts = range(1, problem.n_block + 1) if wished is None else [wished]
    cards = _cards(problem) if wished != 0 else []
    for count in counts if wished != 0 else ():
        for changed in _split(problem, cards, count):
            objective, placement = best_alone(changed)
            if objective < best.objective:
                best = Split(changed, objective, placement)
    return best


def with_experts_away(problem: Problem, count: int) -> Iterator[Problem]:
    """Give a problem per card of the coordinator, with the first blocks' experts on the host.

    Args:
        problem: Of the arrangement ``ALONE``.
        count: So many blocks have none on the card.
    """
    return _split(problem, _cards(problem), count)


def _split(problem: Problem, cards: Sequence[_Card], count: int) -> Iterator[Problem]:
    workload = problem.question.workload
    sizes = np.array([float(block.expert_bytes) for block in (*workload.blocks, workload.output)])
    sizes[count:] = 0.0
    if not sizes.any() or count > problem.n_block:
        return
    footprint = problem.footprint._replace(
        weights=problem.footprint.weights - sizes,
        host_weights=problem.footprint.host_weights + float(sizes.sum()),
        host_compute=problem.footprint.host_compute + _scratch(problem),
    )
    for card in cards:
        yield problem._replace(
            slots=(_mixed(card, sizes > 0),),
            pools=(),  # the card has a memory of its own
            footprint=footprint,
            experts_away=count,
        )


def _scratch(problem: Problem) -> float:
    """Bytes that the CPU's experts compute in: as llama-fit-params reports of Qwen3 30B-A3B."""
    _, workload, options, _ = problem.question
    each = workload.n_embd + 2 * workload.n_ff
    width = workload.n_expert_used * each + workload.n_embd
    return 4.0 * run_shape(options).batch * width


def _cards(problem: Problem) -> list[_Card]:
    """The coordinator's cards beside its CPU, where it has one."""
    registry, workload, options, corrections = problem.question
    devices = {device.id: device for device in registry.devices}
    own = [one for one in registry.devices if one.node == problem.coordinator]
    host = next((one for one in own if one.backend == "cpu"), None)
    if host is None:
        return []
    work = measure_work(workload, options)
    cards: list[_Card] = []
    for slot in problem.slots:
        device = devices[slot.device]
        if slot.remote or slot.on_host or device.unified_memory:
            continue
        factors = corrections.get(device.id, NEUTRAL)
        decode = _seconds(workload, work.decode, device, host)
        prefill = np.sum([_seconds(workload, one, device, host) for one in work.prefill], axis=0)
        cards.append(_Card(slot, factors.decode.value * decode, factors.prefill.value * prefill))
    return cards


def _mixed(card: _Card, away: NDArray[np.bool_]) -> Slot:
    """The card's slot, the experts of some of its blocks being the CPU's work."""
    decode, prefill = card.slot.decode, card.slot.prefill
    return card.slot._replace(
        decode=Seconds(np.where(away, card.decode, decode.blocks), decode.hop),
        prefill=Seconds(np.where(away, card.prefill, prefill.blocks), prefill.hop),
    )


def _seconds(workload: Workload, batch: Batch, card: Device, host: Device) -> Floats:
    """Seconds of every block with its experts on the CPU, for all runs of a batch."""
    read, done = _expert_shares(workload, batch.tokens)
    kinds = batch.kinds
    kept = batch._replace(
        read_bytes=batch.read_bytes - (kinds.weights * read).sum(axis=0),
        flops=batch.flops - (kinds.flops * done).sum(axis=0),
        kinds=kinds._replace(weights=kinds.weights * (1 - read), flops=kinds.flops * (1 - done)),
    )
    experts = kinds._replace(weights=kinds.weights * read, flops=kinds.flops * done)
    left = batch._replace(
        read_bytes=experts.weights.sum(axis=0), flops=experts.flops.sum(axis=0), kinds=experts
    )
    crossing = HANDOVER_S + 2 * 4.0 * workload.n_embd * batch.tokens / BUS_BYTES_PER_S
    return block_seconds(card, kept) + block_seconds(host, left) + batch.times * crossing


def _expert_shares(workload: Workload, tokens: int) -> tuple[Floats, Floats]:
    """Part of the bytes that a batch reads, and of the operations it does, that are experts'."""
    parts = (*workload.blocks, workload.output)
    whole = np.array([float(part.total_weight_bytes) for part in parts])
    experts = np.array([float(part.expert_bytes) for part in parts])
    share = np.array([part.expert_share for part in parts])
    touched = 1.0 - (1.0 - share) ** tokens

    def part(used: Floats) -> Floats:
        active = whole - experts * (1.0 - used)
        return np.divide(experts * used, active, out=np.zeros(len(parts)), where=experts > 0)

    return part(touched), part(share)
