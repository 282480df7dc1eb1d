"""What a prediction rests on: every number with where it comes from, and errors that are known."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from hgx.core.evidence import BANDWIDTH, COMPUTE, noisy, rank_of
from hgx.core.explanation import Known, Uncertainty
from hgx.planner.anatomy import price_answer
from hgx.planner.calibrate import NEUTRAL
from hgx.planner.cost import BLOCK_OVERHEAD_S, wires_from
from hgx.planner.engine_cost import as_worker, stand_ins
from hgx.planner.placement import first_token_s
from hgx.planner.sampling import COORDINATOR_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from hgx.core.engine_rates import EngineRates
    from hgx.core.explanation import LinkCost, Rank
    from hgx.core.registry import Device, Link
    from hgx.planner.anatomy import Priced
    from hgx.planner.calibrate import Correction, Factor
    from hgx.planner.placement import PricedStage

NOTABLE = 0.01
"""Part of a stage's weights below which it does not matter how fast a type is read."""

SCATTERED = "scattered while it was measured"


def numbers(
    priced: Priced, links: Sequence[LinkCost], assumed: frozenset[tuple[str, str]]
) -> Iterator[Known]:
    """List what a prediction rests on.

    Args:
        priced: The plan.
        links: The links it uses.
        assumed: Source and target of links that nobody measured or wrote down.
    """
    problem, stages = priced.problem, priced.stages
    registry, workload, _, corrections = problem.question
    devices = {device.id: device for device in registry.devices}
    for stage in stages:
        device = devices[stage.slot.device]
        yield _memory(device)
        yield from _rates(priced, stage, as_worker(device) if stage.slot.remote else device)
        yield from _learnt(device, corrections.get(device.id, NEUTRAL))
    for link in links:
        yield from _link(priced, link.node, assumed)
    yield Known(
        subject=problem.coordinator,
        quantity="drawing a token",
        value=COORDINATOR_S * workload.n_vocab,
        unit="s",
        rank="default",
    )


def uncertainty(priced: Priced) -> Uncertainty:
    """Carry the errors of what served requests taught over to what is predicted.

    Each device's factor is made larger by its standard error, and what that changes is added up in
    squares: the factors' errors are taken to be independent.
    """
    question = priced.problem.question
    used = [stage.slot.device for stage in priced.stages]
    learnt = {name: question.corrections.get(name, NEUTRAL) for name in used}
    decode, prefill = (
        all(correction[phase].requests for correction in learnt.values()) for phase in (0, 1)
    )
    if not (decode or prefill):
        return Uncertainty(ttft_s=None, tpot_s=None, tokens_per_s=None)
    base = _times(priced)
    squares = [0.0] * len(base)
    for name, correction in learnt.items():
        worse = {**question.corrections, name: _one_error_more(correction)}
        changed = question._replace(corrections=worse)
        times = _times(price_answer(changed, priced.answer))
        squares = [
            total + (after - before) ** 2
            for total, after, before in zip(squares, times, base, strict=True)
        ]
    ttft_s, tpot_s, step_s = map(math.sqrt, squares)
    return Uncertainty(
        ttft_s=ttft_s if prefill else None,
        tpot_s=tpot_s if decode else None,
        tokens_per_s=question.options.parallel * step_s / base[2] ** 2 if decode else None,
    )


def _times(priced: Priced) -> tuple[float, float, float]:
    """Seconds to the first token, per token, and of the step that gives tokens per second."""
    seconds = [stage.decode_s for stage in priced.stages]
    throughput = priced.problem.question.options.objective == "throughput"
    step_s = max(seconds) if throughput else sum(seconds)
    return first_token_s(priced.problem, priced.stages), sum(seconds), step_s


def _one_error_more(correction: Correction) -> Correction:
    decode, prefill = (factor._replace(value=factor.value + factor.error) for factor in correction)
    return correction._replace(decode=decode, prefill=prefill)


def _memory(device: Device) -> Known:
    free = device.memory_free_bytes is not None
    return Known(
        subject=device.id,
        quantity="memory",
        value=float(device.usable_bytes),
        unit="bytes",
        rank=None,
        note="free when it was last looked at" if free else "all of it, what is free is unknown",
    )


def _rates(priced: Priced, stage: PricedStage, device: Device) -> Iterator[Known]:
    """Rates by quantisation type where the engine was measured, and the two general ones."""
    engine = device.engine
    types = list(_types(priced, stage))
    typed = engine is not None and all(stand_ins(engine, name) for name in types)
    if engine is not None and typed:
        for name in types:
            yield from _type_rates(device, engine, name)
    note = "for KV and attention" if typed else None
    bandwidth, flops = device.memory_bandwidth_bytes_per_s, device.compute_flops_per_s
    yield _general(device, BANDWIDTH, "memory bandwidth", bandwidth, note)
    yield _general(device, COMPUTE, "arithmetic", flops, note)
    launch_s = engine.decode_layer_s if engine else BLOCK_OVERHEAD_S
    measured: Rank = "engine" if engine else "default"
    yield _known(device, "launching a block", launch_s, "s", rank=measured)


def _type_rates(device: Device, engine: EngineRates, name: str) -> Iterator[Known]:
    """What was measured of a type, or the slowest of what stands for it."""
    others = stand_ins(engine, name)
    note = None if others == (name,) else f"measured as {' and '.join(others)}"
    byte_s = max(engine.types[other].decode_s_per_byte for other in others)
    flop_s = max(engine.types[other].prefill_s_per_flop for other in others)
    yield _known(device, f"reading {name}", 1 / byte_s, "bytes_per_s", rank="engine", note=note)
    yield _known(
        device, f"arithmetic with {name}", 1 / flop_s, "flops_per_s", rank="engine", note=note
    )


def _general(device: Device, field: str, quantity: str, value: float, note: str | None) -> Known:
    notes = [text for text in (note, SCATTERED if noisy(device, field) else None) if text]
    unit = "bytes_per_s" if field == BANDWIDTH else "flops_per_s"
    rank = rank_of(device, field)
    return _known(device, quantity, value, unit, rank=rank, note=", ".join(notes) or None)


def _known(
    device: Device,
    quantity: str,
    value: float,
    unit: Literal["bytes_per_s", "flops_per_s", "s"],
    *,
    rank: Rank | None,
    note: str | None = None,
) -> Known:
    return Known(subject=device.id, quantity=quantity, value=value, unit=unit, rank=rank, note=note)


def _types(priced: Priced, stage: PricedStage) -> Iterator[str]:
    """Quantisation types that make up a notable part of a stage's weights."""
    workload = priced.problem.question.workload
    blocks = list(workload.blocks[stage.first_block : stage.last_block + 1])
    blocks += [workload.output] * stage.output_head
    sizes = Counter[str]()
    for block in blocks:
        sizes.update(block.weight_bytes)
    return (name for name, size in sorted(sizes.items()) if size > NOTABLE * sizes.total())


def _learnt(device: Device, correction: Correction) -> Iterator[Known]:
    for phase, factor in zip(("decode", "prefill"), correction, strict=True):
        if factor.requests:
            yield _factor(device, phase, factor)


def _factor(device: Device, phase: str, factor: Factor) -> Known:
    return Known(
        subject=device.id,
        quantity=f"{phase} takes, of what its rates say",
        value=factor.value,
        unit="times",
        rank="served",
        error=factor.error,
        note=f"from {factor.requests} served requests",
    )


def _link(priced: Priced, node: str, assumed: frozenset[tuple[str, str]]) -> Iterator[Known]:
    problem = priced.problem
    registry, coordinator = problem.question.registry, problem.coordinator
    wire = wires_from(registry, coordinator)[node]
    links = {(link.source, link.target): link for link in registry.links}
    out, home = (coordinator, node), (node, coordinator)
    there, back = links.get(out) or links.get(home), links.get(home) or links.get(out)
    out_rank, home_rank = _link_rank(there, assumed), _link_rank(back, assumed)
    yield Known(
        subject=node,
        quantity="link, round trip",
        value=wire.rtt_s,
        unit="s",
        rank=out_rank if out_rank == home_rank else None,
    )
    ways: list[tuple[str, float, Rank | None]] = [
        ("link, to it", wire.there_bytes_per_s, out_rank),
        ("link, back from it", wire.back_bytes_per_s, home_rank),
    ]
    for quantity, rate, rank in ways:
        yield Known(subject=node, quantity=quantity, value=rate, unit="bytes_per_s", rank=rank)


def _link_rank(link: Link | None, assumed: frozenset[tuple[str, str]]) -> Rank | None:
    if link is None or (link.source, link.target) in assumed:
        return "default"
    return "link" if link.benchmarks else None
