"""Routed experts in the host's memory: what blocks take, and what they cost, without them.

A token uses few of a block's experts, so that they are most of its weights and little of its
work. The engine can leave those of the model's first blocks to the coordinator's CPU, and run the
rest of these blocks on the devices that have them; each then hands its hidden states over and takes
them back. Where tensors are set apart like that, stages work in turn.

A card of the coordinator hands over through its bus. Another node's device does so through the
network, which costs as much as a stage of its own; that is counted, and so hardly ever chosen.
Devices in the coordinator's RAM have no part in this: they would share it with the experts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.errors import Infeasible
from hgx.gguf.arrangement import Arrangement
from hgx.gguf.memory import HIDDEN_ON_HOST
from hgx.planner.calibrate import NEUTRAL
from hgx.planner.constraints import host_shortage
from hgx.planner.cost import Hop, block_seconds
from hgx.planner.engine_cost import as_worker
from hgx.planner.problem import Seconds, rearranged
from hgx.planner.work import measure_work, run_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.core.registry import Device
    from hgx.core.workload import Workload
    from hgx.planner.problem import Problem, Slot
    from hgx.planner.work import Batch, Work

    Floats = NDArray[np.float64]

HANDOVER_S = 40e-6
"""Handing a block's hidden states to the CPU and taking them back: a default, never measured."""

BUS_BYTES_PER_S = 12e9
"""Between a card and the host: a default, that of PCI Express 3.0 with 16 lanes."""

_ARRANGEMENTS = {
    Arrangement.ALONE: Arrangement.ALONE,
    Arrangement.PIPELINE: Arrangement.IN_TURN,
}


class Mixture(NamedTuple):
    """A problem, and what it would be with routed experts in the host's memory.

    Attributes:
        problem: Of the arrangement ``ALONE`` or ``IN_TURN``, all experts with their blocks.
        away: Every slot as it would be with all experts on the host's CPU.
        sizes: Bytes of routed experts per block, shape ``(n_block + 1,)``, head last.
        scratch: Bytes that each block computes in where its experts are on the host, likewise.
        host_compute: Bytes that the host computes in.
    """

    problem: Problem
    away: tuple[Slot, ...]
    sizes: Floats
    scratch: Floats
    host_compute: float

    @property
    def numbers(self) -> range:
        """Of how many blocks the experts may be on the host: of any, or of as many as is wished."""
        wished, most = self.problem.question.options.cpu_experts, self.problem.n_block
        if wished is None:
            return range(1, most + 1)
        return range(wished, wished + 1) if 0 < wished <= most else range(0)

    def between(self, least: int, most: int) -> Problem:
        """Leave the experts of the first blocks to the host, of ``least`` to ``most`` of them.

        Where these differ, the problem is a relaxation of all numbers between them: it asks for the
        host's memory of the least and for the devices' of the most, and a block between takes
        the shorter of its times. No placement with any such number has a lower objective.
        """
        numbers = np.arange(len(self.sizes))
        some, all_of_them = (np.where(numbers < end, self.sizes, 0.0) for end in (least, most))
        footprint = self.problem.footprint
        scratch = _chosen(footprint.scratch, self.scratch, some, all_of_them)
        slots = zip(self.problem.slots, self.away, strict=True)
        return self.problem._replace(
            slots=tuple(_between(whole, away, some, all_of_them) for whole, away in slots),
            footprint=footprint._replace(
                weights=footprint.weights - all_of_them,
                scratch=scratch,
                host_weights=footprint.host_weights + float(some.sum()),
                host_compute=self.host_compute,
            ),
            experts_away=least,
        )


def with_experts_away(problem: Problem, count: int) -> Problem:
    """Leave the experts of the first blocks to the host.

    Args:
        problem: Of the arrangement ``ALONE`` or ``PIPELINE``.
        count: So many blocks have none with them.

    Raises:
        Infeasible: They cannot be there.
    """
    mixed = mixture(problem)
    if mixed is None or count > problem.n_block:
        msg = (
            f"the experts of {count} blocks can be left to the coordinator's CPU only where it has "
            "no blocks of its own, beside a card of the coordinator, and where the model has as "
            "many with experts: use --cpu-experts 0"
        )
        raise Infeasible(msg)
    return mixed.between(count, count)


def roomiest(problem: Problem) -> Problem | None:
    """Leave the experts of as many blocks to the host as its memory holds, or as is wished.

    Where the devices do not hold the rest, they hold none with fewer away.

    Returns:
        Null where none can be there.
    """
    mixed = mixture(problem)
    if mixed is None:
        return None
    tried = (mixed.between(count, count) for count in reversed(mixed.numbers))
    return next((one for one in tried if not host_shortage(one)), None)


def mixture(problem: Problem) -> Mixture | None:
    """Prepare a problem for experts in the host's memory.

    Args:
        problem: Of any arrangement.

    Returns:
        Null where that cannot be: the model has no experts, the coordinator has no card beside its
        CPU, or the arrangement has a stage on that CPU.
    """
    workload, arrangement = problem.question.workload, _ARRANGEMENTS.get(problem.arrangement)
    sizes = np.array([float(block.expert_bytes) for block in (*workload.blocks, workload.output)])
    host = _host(problem)
    if arrangement is None or problem.mapped or host is None or not sizes.any():
        return None
    devices = {device.id: device for device in problem.question.registry.devices}
    in_ram = {
        slot.device
        for slot in problem.slots
        if not slot.remote and (slot.on_host or devices[slot.device].unified_memory)
    }
    alone = arrangement is Arrangement.ALONE
    slots = tuple(
        slot for slot in problem.slots if slot.device not in in_ram and not (alone and slot.remote)
    )
    if all(slot.remote for slot in slots) or (not alone and len(slots) == 1):
        return None
    changed = rearranged(problem._replace(slots=slots), arrangement)
    work = measure_work(workload, problem.question.options)
    away = (_away(changed, slot, devices[slot.device], host, work) for slot in slots)
    return Mixture(changed, tuple(away), sizes, *_compute(changed))


def _host(problem: Problem) -> Device | None:
    """The coordinator's CPU."""
    devices = problem.question.registry.devices
    own = (one for one in devices if one.node == problem.coordinator)
    return next((one for one in own if one.backend == "cpu"), None)


def _compute(problem: Problem) -> tuple[Floats, float]:
    """Bytes that blocks compute in without their experts, and the host with them.

    On the host, these take the place of all that it holds of hidden states.
    """
    _, workload, options, _ = problem.question
    token = 4.0 * run_shape(options).batch
    footprint = problem.footprint
    scratch = footprint.scratch.copy()
    scratch[:-1] = [token * block.scratch_apart for block in workload.blocks]
    routed = token * max(block.expert_scratch for block in workload.blocks)
    hidden = HIDDEN_ON_HOST * token * workload.n_embd
    return scratch, footprint.host_compute + max(0.0, routed - hidden)


def _between(whole: Slot, away: Slot, some: Floats, all_of_them: Floats) -> Slot:
    """A slot with the experts of some blocks away, and those of others maybe."""

    def seconds(one: Seconds, other: Seconds) -> Seconds:
        return one._replace(blocks=_chosen(one.blocks, other.blocks, some, all_of_them))

    return whole._replace(
        decode=seconds(whole.decode, away.decode), prefill=seconds(whole.prefill, away.prefill)
    )


def _chosen(whole: Floats, away: Floats, some: Floats, all_of_them: Floats) -> Floats:
    """What blocks take without the experts of some; the less of both where they may be away."""
    maybe = np.where(all_of_them > 0, np.minimum(whole, away), whole)
    return np.where(some > 0, away, maybe)


def _away(problem: Problem, slot: Slot, device: Device, host: Device, work: Work) -> Slot:
    """A slot with all experts on the host's CPU."""
    workload = problem.question.workload
    factors = problem.question.corrections.get(slot.device, NEUTRAL)
    device = as_worker(device) if slot.remote else device

    def seconds(batch: Batch) -> Floats:
        kept, left = _parted(workload, batch)
        return block_seconds(device, kept) + block_seconds(host, left)

    def handing(hop: Hop, *batches: Batch) -> float:
        if slot.remote:
            return hop.turn + hop.enter + hop.leave
        return sum(
            batch.times * (HANDOVER_S + 2 * 4.0 * workload.n_embd * batch.tokens / BUS_BYTES_PER_S)
            for batch in batches
        )

    decode = factors.decode.value * seconds(work.decode)
    prefill = factors.prefill.value * np.sum([seconds(one) for one in work.prefill], axis=0)
    return slot._replace(
        decode=slot.decode._replace(blocks=decode + handing(slot.decode.hop, work.decode)),
        prefill=slot.prefill._replace(blocks=prefill + handing(slot.prefill.hop, *work.prefill)),
    )


def _parted(workload: Workload, batch: Batch) -> tuple[Batch, Batch]:
    """What is left of every block of a batch without its experts, and its experts."""
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
    return kept, left


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
