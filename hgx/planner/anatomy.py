"""A priced plan taken apart: what every second and byte of a token and of the prompt is for.

The prices come from ``hgx.planner.problem``, which adds parts up at once; here the same parts are
kept apart. Their sums are the prices.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.core.explanation import (
    LinkCost,
    PhaseSeconds,
    StageCost,
    Traffic,
    WireSeconds,
    WorkSeconds,
)
from hgx.planner.calibrate import NEUTRAL
from hgx.planner.constraints import device_limits
from hgx.planner.cost import Wire, block_cost, hop_seconds, wires_from
from hgx.planner.engine_cost import as_worker
from hgx.planner.experts import with_experts_away
from hgx.planner.placement import block_seconds_of, price, total_objective
from hgx.planner.problem import arrange, build_problem
from hgx.planner.sampling import COORDINATOR_S, LOGIT_BYTES, SAMPLE_BYTES
from hgx.planner.work import measure_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hgx.core.plan import Plan
    from hgx.core.registry import Device
    from hgx.planner.cost import Hop
    from hgx.planner.placement import Placement, PricedStage
    from hgx.planner.problem import Problem, Question, Seconds
    from hgx.planner.work import Batch, Work

    Floats = NDArray[np.float64]

_COUNTING = Wire(rtt_s=0.0, there_bytes_per_s=1.0, back_bytes_per_s=1.0)
"""A wire on which every byte takes a second: seconds on it are bytes."""


_ROUNDING = 1e-9
"""Part of a sum that is no part of its own."""


class Answer(NamedTuple):
    """What of a plan decides all its numbers.

    Attributes:
        coordinator: Node id.
        placement: Who has which blocks.
        mapped: Whether the coordinator's CPU reads its weights from the disk.
        experts_away: So many blocks have their experts in the coordinator's RAM.
    """

    coordinator: str
    placement: Placement
    mapped: bool = False
    experts_away: int = 0


class Priced(NamedTuple):
    """An answer with what it takes; see ``hgx.planner.placement.price``."""

    answer: Answer
    problem: Problem
    stages: Sequence[PricedStage]

    @property
    def objective(self) -> float:
        """Seconds that are minimised."""
        return total_objective(self.problem, self.stages)


class Crossed(NamedTuple):
    """Whether hidden states come over a stage's wire, and whether they go back over it."""

    entered: bool
    left: bool


def answer_of(plan: Plan) -> Answer | None:
    """Read a plan; null where it has no placement."""
    if plan.host is None or not plan.stages:
        return None
    return Answer(
        plan.host.node,
        plan.placement,
        plan.mapped,
        plan.experts_away,
    )


def problem_of(question: Question, answer: Answer) -> Problem:
    """Build the problem that an answer's numbers are those of."""
    used = [device for device, _, _ in answer.placement]
    arrangement = arrange(question, answer.coordinator, used)
    problem = build_problem(question, answer.coordinator, arrangement, mapped=answer.mapped)
    if not answer.experts_away:
        return problem
    return with_experts_away(problem, answer.experts_away)


def price_answer(question: Question, answer: Answer) -> Priced:
    """Price an answer that keeps all constraints."""
    problem = problem_of(question, answer)
    return Priced(answer, problem, price(problem, answer.placement, device_limits(problem)))


def dissect(priced: Priced) -> tuple[StageCost, ...]:
    """Take every stage apart, in pipeline order."""
    problem, stages = priced.problem, priced.stages
    registry, workload, options, _ = problem.question
    work = measure_work(workload, options)
    wires = wires_from(registry, problem.coordinator)
    devices = {device.id: device for device in registry.devices}
    costs: list[StageCost] = []
    for at, stage in enumerate(stages):
        device = devices[stage.slot.device]
        device = as_worker(device) if stage.slot.remote else device
        wire = None if _wireless(stage) else wires[stage.slot.node]
        crossed = Crossed(
            entered=not (at and _together(stages[at - 1], stage)),
            left=stage.output_head or not _together(stage, stages[at + 1]),
        )
        costs.append(_stage(problem, stage, device, work, wire=wire, crossed=crossed))
    return tuple(costs)


def links_of(coordinator: str, stages: Sequence[StageCost]) -> tuple[LinkCost, ...]:
    """Add up what the stages on each node take of its link, in the order of the stages."""
    by_node: dict[str, list[StageCost]] = defaultdict(list)
    for stage in stages:
        if stage.traffic is not None:
            by_node[stage.node].append(stage)
    return tuple(
        LinkCost(
            coordinator=coordinator,
            node=node,
            token=_together_s([stage.token.wire for stage in some]),
            prompt=_together_s([stage.prompt.wire for stage in some]),
            traffic=Traffic(
                there_bytes=sum(stage.traffic.there_bytes for stage in some if stage.traffic),
                back_bytes=sum(stage.traffic.back_bytes for stage in some if stage.traffic),
            ),
        )
        for node, some in by_node.items()
    )


def _together_s(wires: Sequence[WireSeconds]) -> WireSeconds:
    names = WireSeconds.model_fields
    return WireSeconds(**{name: math.fsum(dict(wire)[name] for wire in wires) for name in names})


def _wireless(stage: PricedStage) -> bool:
    """Whether the engine runs a stage in its own process, or on a device of its own machine."""
    slot = stage.slot
    return not slot.remote and not (slot.on_host and stage.first_block > 0)


def _together(one: PricedStage, other: PricedStage) -> bool:
    """Whether hidden states stay on a far node between two stages."""
    return one.slot.remote and one.slot.node == other.slot.node


def _stage(
    problem: Problem,
    stage: PricedStage,
    device: Device,
    work: Work,
    *,
    wire: Wire | None,
    crossed: Crossed,
) -> StageCost:
    correction = problem.question.corrections.get(device.id, NEUTRAL)
    n_vocab = problem.question.workload.n_vocab
    drawing_s = COORDINATOR_S * n_vocab * stage.output_head
    token_s = _work(device, (work.decode,), stage, drawing_s * work.decode.outputs)
    prompt_s = _work(device, work.prefill, stage, drawing_s)
    token_wire = prompt_wire = WireSeconds()
    if wire is not None:
        stage_s = device.engine.stage_s if device.engine else 0.0
        decode, prefill = stage.slot.decode.hop, stage.slot.prefill.hop
        token_wire = _wire(wire, stage, decode, 1, stage_s=stage_s, crossed=crossed)
        prompt_wire = _wire(wire, stage, prefill, work.batches, stage_s=stage_s, crossed=crossed)
    run = _run(stage)
    read = float(work.decode.read_bytes[run].sum())
    weights = float(work.decode.kinds.weights[:, run].sum())
    return StageCost(
        device=device.id,
        node=device.node,
        token=PhaseSeconds(
            work=_whole(token_s, correction.decode.value, stage, stage.slot.decode),
            wire=token_wire,
        ),
        prompt=PhaseSeconds(
            work=_whole(prompt_s, correction.prefill.value, stage, stage.slot.prefill),
            wire=prompt_wire,
        ),
        weights_bytes=round(weights),
        kv_bytes=max(0, round(read - weights)),
        flops=float(work.decode.flops[run].sum()),
        traffic=wire and _traffic(problem, stage, work.decode, crossed),
    )


def _run(stage: PricedStage) -> list[int]:
    """Indices of a stage's blocks, the output head's last."""
    return [*range(stage.first_block, stage.last_block + 1), *([-1] if stage.output_head else [])]


def _work(
    device: Device, batches: Sequence[Batch], stage: PricedStage, drawing_s: float
) -> WorkSeconds:
    """Add up the parts of all batches; the output head runs for the last of them only, once."""
    parts = [_parts(device, batch) for batch in batches]
    whole = np.sum([batch.times * part for batch, part in zip(batches, parts, strict=True)], axis=0)
    whole[:, -1] = parts[-1][:, -1]
    weights_s, kv_s, arithmetic_s, launch_s = (
        float(part) for part in whole[:, _run(stage)].sum(axis=1)
    )
    return WorkSeconds(
        weights_s=weights_s,
        kv_s=kv_s,
        arithmetic_s=arithmetic_s,
        launch_s=launch_s,
        sampling_s=drawing_s,
    )


def _parts(device: Device, batch: Batch) -> Floats:
    """Seconds per block of reading weights and KV, arithmetic and launching, for one run.

    Of reading and arithmetic, the shorter is none.

    Returns:
        Array of shape ``(4, n_block + 1)``.
    """
    cost = block_cost(device, batch)
    kinds = batch.kinds
    # What is left of the batch without KV and attention takes what its weights take.
    bare = batch._replace(read_bytes=kinds.weights.sum(axis=0), flops=kinds.flops.sum(axis=0))
    weights = np.minimum(block_cost(device, bare).reading, cost.reading)
    reads = cost.reading >= cost.computing
    return np.array(
        [
            np.where(reads, weights, 0.0),
            np.where(reads, cost.reading - weights, 0.0),
            np.where(reads, 0.0, cost.computing),
            cost.fixed,
        ]
    )


def _whole(work: WorkSeconds, factor: float, stage: PricedStage, phase: Seconds) -> WorkSeconds:
    """Correct the parts, and add what blocks take beyond them to make up their price.

    Experts that another processor has may also spare the device some of its parts.
    """
    first, last = stage.first_block, stage.last_block
    price_s = block_seconds_of(phase, first, last, head=stage.output_head)
    away_s = price_s - factor * work.total_s
    if abs(away_s) <= _ROUNDING * price_s:
        away_s = 0.0
    elif away_s < 0:
        factor, away_s = price_s / work.total_s, 0.0
    parts = {name: factor * seconds for name, seconds in work}
    return WorkSeconds.model_validate(parts | {"away_s": away_s})


def _wire(
    wire: Wire, stage: PricedStage, hop: Hop, runs: int, *, stage_s: float, crossed: Crossed
) -> WireSeconds:
    round_trip_s, engine_s = wire.rtt_s * runs, stage_s * runs
    head = stage.output_head
    return WireSeconds(
        round_trip_s=round_trip_s,
        control_s=max(0.0, hop.turn - round_trip_s - engine_s),
        engine_s=engine_s,
        hidden_in_s=hop.enter if crossed.entered else 0.0,
        hidden_out_s=hop.leave if crossed.left and not head else 0.0,
        logits_s=hop.finish if head else 0.0,
    )


def _traffic(problem: Problem, stage: PricedStage, batch: Batch, crossed: Crossed) -> Traffic:
    workload = problem.question.workload
    sizes = hop_seconds(_COUNTING, batch, workload.n_embd)
    back = sizes.leave if crossed.left else 0.0
    if stage.output_head:
        drawn = SAMPLE_BYTES if stage.samples else LOGIT_BYTES * workload.n_vocab
        back = float(batch.outputs * drawn)
    return Traffic(
        there_bytes=round(sizes.turn + crossed.entered * sizes.enter), back_bytes=round(back)
    )
