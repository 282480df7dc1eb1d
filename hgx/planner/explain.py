"""Why a plan is as it is: one sentence per finding, for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hgx.core.evidence import MEASURED, RATES, lowest_rank, noisy
from hgx.planner.calibrate import NEUTRAL
from hgx.planner.constraints import out_of_reach
from hgx.planner.cost import block_cost
from hgx.planner.engine_cost import as_worker, stand_ins
from hgx.planner.work import measure_work
from hgx.units import format_bytes, format_rate, format_seconds, format_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgx.core.registry import Registry
    from hgx.planner.calibrate import Correction
    from hgx.planner.placement import PricedStage
    from hgx.planner.problem import Problem


LISTED = 8
"""Most devices that one sentence names."""

NOTABLE = 0.01
"""Part of a stage's weights below which it does not matter how a type was measured."""


_UNMEASURED: Mapping[str | None, str] = {"vendor": "vendor figures", "default": "assumed"}
"""What to say of rates by their rank."""


def explain(problem: Problem, stages: Sequence[PricedStage], *, proven: bool) -> Iterator[str]:
    """Say what limits a plan, who was left out, and what it rests on."""
    registry, workload, options, _ = problem.question
    yield from _mapped(problem, stages)
    yield from _experts(problem)
    yield from _limiting(problem, stages)
    yield from _full(problem, stages)
    yield from _left_out(problem, stages, proven=proven)
    if options.objective == "throughput" and len(stages) > 1:
        rate = options.parallel / sum(stage.decode_s for stage in stages)
        yield (
            f"the predicted tokens/s are reached when all {len(stages)} stages are busy all the "
            f"time; when they take turns, as with few streams, it is {format_tokens(rate)}"
        )
    if workload.n_ctx_train is not None and options.ctx > workload.n_ctx_train:
        yield (
            f"a context of {options.ctx} is longer than the {workload.n_ctx_train} tokens the "
            "model was trained for"
        )
    yield from _evidence(registry, stages)
    yield from _engine(problem, stages)
    yield from _corrected(problem)


def _mapped(problem: Problem, stages: Sequence[PricedStage]) -> Iterator[str]:
    """Say what stays on the disk, and at which rate it is read."""
    size = sum(stage.memory.mapped_bytes for stage in stages)
    node = next(n for n in problem.question.registry.nodes if n.id == problem.coordinator)
    if size and node.disk_read_bytes_per_s:
        yield (
            f"no memory holds it: {format_bytes(size)} of weights stay on {node.id}'s disk and are "
            f"read for every token, at {format_rate(node.disk_read_bytes_per_s)}"
        )


def _experts(problem: Problem) -> Iterator[str]:
    """Say whose experts are not where their block is."""
    away = problem.experts_away
    if away:
        size = sum(block.expert_bytes for block in problem.question.workload.blocks[:away])
        yield (
            f"the routed experts of blocks 0 to {away - 1} ({format_bytes(size)}) stay in "
            f"{problem.coordinator}'s RAM, and its CPU runs them (handing over is assumed)"
        )


def _limiting(problem: Problem, stages: Sequence[PricedStage]) -> Iterator[str]:
    """Name the stage that takes most of a token's time, and what it spends it on."""
    registry, workload, options, corrections = problem.question
    total = sum(stage.decode_s for stage in stages)
    slowest = max(stages, key=lambda stage: stage.decode_s)
    device = next(device for device in registry.devices if device.id == slowest.slot.device)
    device = as_worker(device) if slowest.slot.remote else device
    end = slowest.last_block + 1
    run = [*range(slowest.first_block, end), *([-1] if slowest.output_head else [])]
    cost = block_cost(device, measure_work(workload, options).decode)
    factor = corrections.get(device.id, NEUTRAL).decode.value
    reading, computing, fixed = (factor * part[run] for part in cost)
    assumed = "" if device.engine else " (assumed)"
    engine = device.engine and device.engine.types
    reads = "reading and unpacking weights on" if engine else "the memory bandwidth of"
    seconds = {
        f"the wire to {slowest.slot.node}": slowest.wire_s,
        f"the arithmetic of {device.id}": float(computing[computing > reading].sum()),
        f"{reads} {device.id}": float(reading[computing <= reading].sum()),
        f"launching blocks on {device.id}{assumed}": float(fixed.sum()),
    }
    if slowest.slot.mapped:
        seconds[f"the disk of {slowest.slot.node}"] = slowest.decode_s - sum(seconds.values())
    reason = max(seconds, key=seconds.__getitem__)
    share = seconds[reason] / total
    yield f"limited by {reason}: {share:.0%} of the {format_seconds(total)} that a token takes"


def _full(problem: Problem, stages: Sequence[PricedStage]) -> Iterator[str]:
    """Name devices whose memory has no room for one more block."""
    if len(stages) == 1:
        return
    least = float((problem.footprint.weights + problem.footprint.kv)[: problem.n_block].min())
    for stage in stages:
        left = stage.memory.capacity_bytes - stage.memory.total_bytes
        if left < least:
            yield (
                f"{stage.slot.device} is full: {format_bytes(left)} left, and a block takes at "
                f"least {format_bytes(least)}"
            )


def _left_out(problem: Problem, stages: Sequence[PricedStage], *, proven: bool) -> Iterator[str]:
    for device in problem.unreachable:
        yield out_of_reach(problem, device)
    used = {stage.slot.device for stage in stages}
    idle = [slot.device for slot in problem.slots if slot.device not in used]
    if idle:
        yield f"left out: {_named(idle)}" + ("; no use of them is faster" if proven else "")


def _evidence(registry: Registry, stages: Sequence[PricedStage]) -> Iterator[str]:
    """Name the devices whose rates were not measured, or not well."""
    used = {stage.slot.device for stage in stages}
    ranked: dict[str | None, list[str]] = {}
    for device in registry.devices:
        if device.id in used:
            ranked.setdefault(lowest_rank(device), []).append(device.id)
    for rank, devices in ranked.items():
        if rank not in MEASURED:
            said = _UNMEASURED.get(rank, "of unknown origin")
            yield f"not measured: the rates of {_named(devices)} are {said}"
    noise = [
        device.id
        for device in registry.devices
        if device.id in used and any(noisy(device, field) for field in RATES)
    ]
    if noise:
        yield f"noisy: the rates of {_named(noise)} scattered; hgx bench measures them properly"


def _engine(problem: Problem, stages: Sequence[PricedStage]) -> Iterator[str]:
    """Name the devices measured with the engine, and types that others stand for."""
    devices = {device.id: device for device in problem.question.registry.devices}
    named: list[str] = []
    for stage in stages:
        engine = devices[stage.slot.device].engine
        if engine is None:
            continue
        rates_of = {name: stand_ins(engine, name) for name in _types(problem, stage)}
        if rates_of and all(rates_of.values()):
            others = [
                f"{name} as {' and '.join(rates)}"
                for name, rates in rates_of.items()
                if rates != (name,)
            ]
            named.append(stage.slot.device + (f" ({', '.join(others)})" if others else ""))
    if named:
        yield f"measured with the engine: {_named(named)}"


def _types(problem: Problem, stage: PricedStage) -> Iterator[str]:
    """Quantisation types that make up a notable part of a stage's weights."""
    workload = problem.question.workload
    blocks = list(workload.blocks[stage.first_block : stage.last_block + 1])
    blocks += [workload.output] * stage.output_head
    sizes = Counter[str]()
    for block in blocks:
        sizes.update(block.weight_bytes)
    return (name for name, size in sizes.items() if size > NOTABLE * sizes.total())


def _corrected(problem: Problem) -> Iterator[str]:
    """Say what served requests changed, of devices in reach."""
    corrections = problem.question.corrections
    changed = [
        (device, correction, words)
        for device in (slot.device for slot in problem.slots)
        if (correction := corrections.get(device)) and (words := _words(correction))
    ]
    for device, correction, words in changed[:LISTED]:
        requests = max(factor.requests for factor in correction)
        yield f"corrected by {requests} served requests: {device} takes {words} as its rates say"


def _words(correction: Correction) -> str:
    return " and ".join(
        f"{factor.value:.2f} ± {factor.error:.2f} times as long to {verb}"
        for verb, factor in correction._asdict().items()
        if f"{factor.value:.2f}" != "1.00"
    )


def _named(devices: Sequence[str]) -> str:
    rest = len(devices) - LISTED
    return ", ".join(devices[:LISTED]) + (f" and {rest} more" if rest > 0 else "")
