"""The problem: registry, workload and options as plain numbers, for one choice of coordinator.

Everything the search needs is in arrays here. A *slot* is a device that can be reached; equal
slots form a *class*, because exchanging them changes nothing. Block indices run to ``n_block``,
which is the output head; it always shares a device with the last block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.gguf.arrangement import Arrangement
from hgx.gguf.memory import compute_buffers, host_buffers, kv_bytes
from hgx.planner.calibrate import NEUTRAL, NO_CORRECTIONS
from hgx.planner.cost import Hop, block_seconds, hop_seconds, wires_from
from hgx.planner.engine_cost import as_worker
from hgx.planner.mapped import with_mapped_weights
from hgx.planner.pools import Pool, node_rams
from hgx.planner.sampling import COORDINATOR_S, choose_sampling
from hgx.planner.wishes import read_wishes
from hgx.planner.work import measure_work, run_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hgx.core.options import PlanOptions
    from hgx.core.registry import Device, Registry
    from hgx.core.workload import Workload
    from hgx.planner.calibrate import Correction
    from hgx.planner.cost import Wire
    from hgx.planner.pools import Ram
    from hgx.planner.work import Work

    Floats = NDArray[np.float64]


class Weights(NamedTuple):
    """How much the seconds of the prompt and of one token count."""

    prefill: float = 0.0
    decode: float = 0.0


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
        entered: Compute buffer a stage needs besides that begins with a block; ``(n_block,)``.
        left: The same of one that ends with a block, if not with the last.
        shared_head: Part of the head's weights that the coordinator's host holds anyway.
        host_weights: Bytes on the coordinator's host whatever the placement.
        host_compute: Bytes of scratch there.
        shared_compute: Part of it that is counted in a first stage on the coordinator's CPU too.
    """

    weights: Floats
    kv: Floats
    scratch: Floats
    inputs: float
    entered: Floats
    left: Floats
    shared_head: float
    host_weights: float
    host_compute: float
    shared_compute: float


NO_FOOTPRINT = Footprint(
    *np.zeros((3, 1)),
    inputs=0.0,
    entered=np.zeros(0),
    left=np.zeros(0),
    shared_head=0.0,
    host_weights=0.0,
    host_compute=0.0,
    shared_compute=0.0,
)


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
        mapped: Whether its weights stay on the disk, and are read whenever they are used.
    """

    device: str
    node: str
    decode: Seconds
    prefill: Seconds
    capacity: float
    on_host: bool
    remote: bool
    samples: bool
    mapped: bool = False


class Problem(NamedTuple):
    """All there is to know for a search; see the module's text.

    The objective is the sum of all stages' seconds by the weights ``total``, and the largest of
    one stage's by the weights ``peak``.
    """

    question: Question
    n_block: int
    coordinator: str
    arrangement: Arrangement
    slots: tuple[Slot, ...]
    pools: tuple[Pool, ...]
    footprint: Footprint
    total: Weights
    peak: Weights
    batches: int
    host_capacity: float | None
    unreachable: tuple[str, ...]
    refused: tuple[str, ...]
    required: tuple[frozenset[str], ...]
    mapped: bool
    experts_away: int = 0
    """Blocks, from the first on, whose routed experts are in the coordinator's RAM."""

    @property
    def bottleneck(self) -> bool:
        """Whether only the slowest stage counts."""
        return not any(self.total)

    @property
    def shared_pools(self) -> tuple[Pool, ...]:
        """Memories that really are shared: a pool of one device is an ordinary limit."""
        return tuple(pool for pool in self.pools if len(pool.devices) > 1)

    @property
    def pipelined(self) -> bool:
        """Whether the micro-batches of a prompt follow each other through the stages."""
        return self.arrangement is Arrangement.PIPELINE and self.question.options.rpc == "async"


def arrange(question: Question, coordinator: str, devices: Sequence[str]) -> Arrangement:
    """Tell the arrangement of stages on devices, in their order."""
    if len(devices) == 1:
        return Arrangement.ALONE
    first = next(device for device in question.registry.devices if device.id == devices[0])
    own = first.node == coordinator and first.backend == "cpu"
    return Arrangement.HOST_FIRST if own else Arrangement.PIPELINE


def build_problem(
    question: Question,
    coordinator: str,
    arrangement: Arrangement = Arrangement.PIPELINE,
    *,
    mapped: bool = False,
) -> Problem:
    """Turn documents into numbers.

    Args:
        question: What is asked.
        coordinator: Node id; it must be in the registry.
        arrangement: What all placements are to be like.
        mapped: Whether the coordinator's CPU may have more weights than its memory holds, where
            the engine's own process runs them; an rpc server would hold them.
    """
    registry, workload, options, _ = question
    work = measure_work(workload, options)
    slots: list[Slot] = []
    unreachable: list[str] = []
    wires = wires_from(registry, coordinator)
    wishes = read_wishes(registry, options)
    for device in registry.devices:
        if device.id in wishes.refused:
            continue
        if device.node in wires:
            slots.append(_slot(question, coordinator, device, work, wires[device.node]))
        else:
            unreachable.append(device.id)
    unarranged = Problem(
        question=question,
        n_block=workload.n_block,
        coordinator=coordinator,
        arrangement=arrangement,
        slots=tuple(slots),
        pools=(),
        footprint=NO_FOOTPRINT,
        total=Weights(),
        peak=Weights(),
        batches=work.batches,
        host_capacity=None,
        unreachable=tuple(unreachable),
        refused=tuple(sorted(wishes.refused)),
        required=wishes.required,
        mapped=mapped,
    )
    return rearranged(unarranged, arrangement)


def rearranged(problem: Problem, arrangement: Arrangement) -> Problem:
    """Return the same problem for another arrangement."""
    registry, workload, options, _ = problem.question
    footprint = _footprint(workload, options, arrangement)
    rams = node_rams(registry, options.headroom_bytes)
    overlap = arrangement is Arrangement.PIPELINE and options.rpc == "async"
    total, peak = _weights(options, problem.batches if overlap else 1)
    host = rams[problem.coordinator].capacity
    if problem.mapped and arrangement is not Arrangement.PIPELINE:
        problem = with_mapped_weights(problem, footprint, host)
    return problem._replace(
        arrangement=arrangement,
        pools=tuple(_pools(problem, rams, footprint)),
        footprint=footprint,
        total=total,
        peak=peak,
        host_capacity=host,
    )


def _weights(options: PlanOptions, batches: int) -> tuple[Weights, Weights]:
    """What counts of all stages together, and what of the slowest.

    Where micro-batches follow each other, the first passes all stages, and each other one comes
    out as long after the one before as the slowest stage takes.
    """
    tokens = float(options.output_tokens)
    through, slowest = 1.0 / batches, (batches - 1.0) / batches
    match options.objective:
        case "latency":
            return Weights(through, tokens), Weights(slowest)
        case "throughput":
            return Weights(), Weights(decode=1.0)
        case "balanced":
            half = Weights(through / 2, tokens / 2)
            return half, Weights(slowest / 2, tokens / 2)


def _footprint(workload: Workload, options: PlanOptions, arrangement: Arrangement) -> Footprint:
    run = run_shape(options)
    parts = (*workload.blocks, workload.output)
    compute = compute_buffers(workload, run, arrangement)
    host = host_buffers(workload, run, arrangement)
    shared = workload.embedding_bytes if workload.tied_embedding else 0
    return Footprint(
        weights=np.array([float(part.total_weight_bytes) for part in parts]),
        kv=np.array([float(kv_bytes(part.kv, run)) for part in parts]),
        scratch=np.array([float(size) for size in (*compute.blocks, compute.output)]),
        inputs=float(compute.inputs),
        entered=np.array([float(size) for size in compute.entered]),
        left=np.array([float(size) for size in compute.left]),
        shared_head=float(shared),
        host_weights=float(host.weights),
        host_compute=float(host.compute),
        shared_compute=float(host.shared),
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


def _pools(problem: Problem, rams: Mapping[str, Ram], footprint: Footprint) -> Iterator[Pool]:
    """Devices that share their node's RAM, the coordinator's own buffers taken off it."""
    sharing = {slot.device for slot in problem.slots if not slot.mapped}
    for ram in rams.values():
        shared = frozenset(device for device in ram.devices if device in sharing)
        if ram.capacity is None or not shared:
            continue
        own = footprint.host_weights + footprint.host_compute
        own = own if ram.node == problem.coordinator else 0.0
        yield Pool(shared, max(0.0, ram.capacity - own))
