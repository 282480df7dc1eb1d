"""The problem: registry, workload and options as plain numbers, for one choice of coordinator.

Everything the search needs is in arrays here. A *slot* is a device that can be reached; equal
slots form a *class*, because exchanging them changes nothing. Block indices run to ``n_block``,
which is the output head; it always shares a device with the last block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.gguf.memory import compute_buffers, host_buffers, kv_bytes
from hgx.planner.calibrate import NEUTRAL, NO_CORRECTIONS
from hgx.planner.cost import Hop, block_seconds, hop_seconds, wires_from
from hgx.planner.engine_cost import as_worker
from hgx.planner.sampling import COORDINATOR_S, choose_sampling
from hgx.planner.work import measure_work, run_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from hgx.core.options import PlanOptions
    from hgx.core.registry import Device, Node, Registry
    from hgx.core.workload import Workload
    from hgx.planner.calibrate import Correction
    from hgx.planner.cost import Wire
    from hgx.planner.work import Work

    Floats = NDArray[np.float64]


class Question(NamedTuple):
    """What the planner is asked: which model, on which devices, run how.

    Attributes:
        registry: Nodes, devices and links.
        workload: The model.
        options: How it will be run.
        corrections: What served requests taught, by id of device.
    """

    registry: Registry
    workload: Workload
    options: PlanOptions
    corrections: Mapping[str, Correction] = NO_CORRECTIONS


class Footprint(NamedTuple):
    """Bytes on a device, per block and for the output head (the last entry).

    Attributes:
        weights: Shape ``(n_block + 1,)``.
        kv: Shape ``(n_block + 1,)``.
        scratch: Compute buffer a block needs by itself; the largest of a stage counts.
        inputs: Compute buffer every stage needs.
        shared_head: Part of the head's weights that the coordinator's host holds anyway.
        host_weights: Bytes on the coordinator's host whatever the placement.
        host_compute: Bytes of scratch there.
    """

    weights: Floats
    kv: Floats
    scratch: Floats
    inputs: float
    shared_head: float
    host_weights: float
    host_compute: float


class Seconds(NamedTuple):
    """Seconds of one phase on one slot: per block, head last, and on the wire."""

    blocks: Floats
    hop: Hop


class Slot(NamedTuple):
    """A device that can be reached, as numbers.

    Attributes:
        device: Its id.
        node: Its node.
        decode: One token for every stream.
        prefill: The whole prompt.
        capacity: Bytes it may take by itself, the headroom taken off.
        on_host: Whether it is the coordinator's CPU: the engine runs its blocks first, without
            a wire; anywhere else in the order it is a worker on the loopback.
        remote: Whether it stands on another node.
        samples: Whether it draws the tokens where it has the output head behind a wire.
    """

    device: str
    node: str
    decode: Seconds
    prefill: Seconds
    capacity: float
    on_host: bool
    remote: bool
    samples: bool


class Pool(NamedTuple):
    """Devices that share one memory: the bytes they take together are bounded.

    A pool of one is an ordinary limit. The coordinator's pool is smaller by its own buffers.
    """

    devices: frozenset[str]
    capacity: float


class Problem(NamedTuple):
    """All there is to know for a search; see the module's text."""

    question: Question
    n_block: int
    coordinator: str
    slots: tuple[Slot, ...]
    pools: tuple[Pool, ...]
    footprint: Footprint
    prefill_weight: float
    decode_weight: float
    bottleneck: bool
    host_capacity: float | None
    unreachable: tuple[str, ...]


def build_problem(question: Question, coordinator: str) -> Problem:
    """Turn documents into numbers.

    Args:
        question: What is asked.
        coordinator: Node id; it must be in the registry.
    """
    registry, workload, options, _ = question
    work = measure_work(workload, options)
    footprint = _footprint(workload, options)
    slots: list[Slot] = []
    unreachable: list[str] = []
    wires = wires_from(registry, coordinator)
    for device in registry.devices:
        if device.node in wires:
            slots.append(_slot(question, coordinator, device, work, wires[device.node]))
        else:
            unreachable.append(device.id)
    reachable = {slot.device for slot in slots}
    rams = {ram.node: ram for ram in _rams(registry, options.headroom_bytes)}
    host = rams[coordinator].capacity
    throughput = options.objective == "throughput"
    return Problem(
        question=question,
        n_block=workload.n_block,
        coordinator=coordinator,
        slots=tuple(slots),
        pools=tuple(_pools(rams.values(), coordinator, footprint, reachable)),
        footprint=footprint,
        prefill_weight=0.0 if throughput else 1.0,
        decode_weight=1.0 if throughput else float(options.output_tokens),
        bottleneck=throughput,
        host_capacity=host,
        unreachable=tuple(unreachable),
    )


def _footprint(workload: Workload, options: PlanOptions) -> Footprint:
    run = run_shape(options)
    parts = (*workload.blocks, workload.output)
    compute = compute_buffers(workload, run)
    host = host_buffers(workload, run)
    shared = workload.embedding_bytes if workload.tied_embedding else 0
    return Footprint(
        weights=np.array([float(part.total_weight_bytes) for part in parts]),
        kv=np.array([float(kv_bytes(part.kv, run)) for part in parts]),
        scratch=np.array([float(size) for size in (*compute.blocks, compute.output)]),
        inputs=float(compute.inputs),
        shared_head=float(shared),
        host_weights=float(host.weights),
        host_compute=float(host.compute),
    )


def _slot(question: Question, coordinator: str, device: Device, work: Work, wire: Wire) -> Slot:
    n_embd, n_vocab = question.workload.n_embd, question.workload.n_vocab
    remote = device.node != coordinator
    if remote:
        device = as_worker(device)
    on_host = not remote and device.backend == "cpu"
    decode_hop = prefill_hop = Hop()
    samples = False
    if remote or on_host:
        stage_s = device.engine.stage_s if device.engine else 0.0
        decode_hop = hop_seconds(wire, work.decode, n_embd, stage_s)
        prefill_hop = Hop.total(hop_seconds(wire, batch, n_embd, stage_s) for batch in work.prefill)
        sampling = choose_sampling(wire, device.backend, n_vocab)
        decode_hop = decode_hop._replace(finish=work.decode.outputs * sampling.extra_s)
        prefill_hop = prefill_hop._replace(finish=sampling.extra_s)
        samples = sampling.on_device
    prefill = np.sum([block_seconds(device, batch) for batch in work.prefill], axis=0)
    # The output head runs for the prompt's last token only, however many batches there were.
    head = block_seconds(device, work.prefill[-1]._replace(times=1))[-1]
    drawing_s = COORDINATOR_S * n_vocab
    prefill[-1] = head + drawing_s
    correction = question.corrections.get(device.id, NEUTRAL)
    decode = block_seconds(device, work.decode)
    decode[-1] += drawing_s * work.decode.outputs
    return Slot(
        device=device.id,
        node=device.node,
        decode=Seconds(correction.decode.value * decode, decode_hop),
        prefill=Seconds(correction.prefill.value * prefill, prefill_hop),
        capacity=max(0.0, device.usable_bytes - question.options.headroom_bytes),
        on_host=on_host,
        remote=remote,
        samples=samples,
    )


class _Ram(NamedTuple):
    """A node's RAM: the devices in it, and bytes that may be taken; None where unknown."""

    node: str
    devices: tuple[str, ...]
    capacity: float | None


def _rams(registry: Registry, headroom: int) -> Iterator[_Ram]:
    """For every node, its CPUs and the devices whose memory is the same as the CPUs'."""
    members: dict[str, list[Device]] = {node.id: [] for node in registry.nodes}
    for device in registry.devices:
        if device.backend == "cpu" or device.unified_memory:
            members[device.node].append(device)
    for node in registry.nodes:
        mine = members[node.id]
        yield _Ram(
            node.id, tuple(device.id for device in mine), _ram_capacity(node, mine, headroom)
        )


def _pools(
    rams: Iterable[_Ram], coordinator: str, footprint: Footprint, reachable: set[str]
) -> Iterator[Pool]:
    """Devices that share their node's RAM, the coordinator's own buffers taken off it."""
    for ram in rams:
        shared = frozenset(device for device in ram.devices if device in reachable)
        if ram.capacity is None or not shared:
            continue
        own = footprint.host_weights + footprint.host_compute if ram.node == coordinator else 0.0
        yield Pool(shared, max(0.0, ram.capacity - own))


def _ram_capacity(node: Node, members: list[Device], headroom: int) -> float | None:
    """Bytes of a node's RAM that may be taken, or None where nothing is known of it."""
    known = [s for s in (node.ram_total_bytes, node.ram_free_bytes) if s is not None]
    sizes = [device.usable_bytes for device in members]
    if any(device.unified_memory for device in members):
        known.append(max(sizes))
    elif sizes:
        known.append(sum(sizes))
    return max(0.0, float(min(known) - headroom)) if known else None
