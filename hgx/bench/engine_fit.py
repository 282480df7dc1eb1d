"""From the times of a few models to what the planner reckons with: pure functions.

The planner's terms are used, so that what it predicts for these models is what they took: a token
takes ``head + blocks * (layer + bytes / rate)``, a micro-batch of a prompt ``head + blocks *
(layer + operations / rate + attention)``, where attention counts half of the prompt as its context.
Behind an rpc server a run takes a stage's turn more. A share of the time that is lost in the noise
comes out as nothing.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.bench import engine_names as names
from hgx.bench.engine_steps import BASE, Step
from hgx.engine.synthetic import block_bytes, head_bytes
from hgx.planner.cost import LOOPBACK_RTT_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hgx.core.benchmark import Unit

_LEAST_S: Final = 1e-9
_LEAST_SHARE: Final = 0.02
"""Part of its time that a run must need for its context, or that is lost in the noise."""


class Seen(NamedTuple):
    """A step, and the seconds of all its repetitions in order: of the prompt, and of a token."""

    step: Step
    prompt: tuple[float, ...]
    token: tuple[float, ...]


class Fitted(NamedTuple):
    """A number that the planner needs.

    Attributes:
        name: Of the benchmark; see ``hgx.bench.engine_names``.
        unit: Of the samples.
        samples: One per repetition of the first step.
        steps: What they follow from.
    """

    name: str
    unit: Unit
    samples: tuple[float, ...]
    steps: tuple[Step, ...]

    @property
    def median(self) -> float:
        """Of the samples."""
        return median(self.samples)


class _Besides(NamedTuple):
    """What runs cost beside weights: a run, and a block of a token, in seconds."""

    run_s: float
    layer_s: float


def fit(seen: Mapping[tuple[str, bool], Seen]) -> Iterator[Fitted]:
    """Work out what can be worked out.

    Args:
        seen: What was run, by the step's name and whether it was behind an rpc server.
    """
    here = [seen[key] for key in (("few", False), ("many", False)) if key in seen]
    if len(here) < 2:
        return
    layer = _layer(names.DECODE, *here)
    head = _run(names.HEAD, here, layer.median)
    yield from (layer, head)
    besides = _Besides(head.median, layer.median)
    attention_s = 0.0  # per operation, in a prompt
    narrow, deep = seen.get(("narrow", False)), seen.get(("deep", False))
    if narrow and deep:
        for one in _attention(narrow, deep):
            attention_s = 1 / one.median if one.name.startswith(names.PREFILL) else attention_s
            yield one
    base = seen.get((BASE, False))
    if not narrow or not base:
        return
    prefill_layer = _prefill_layer(narrow, base, attention_s, besides)
    yield prefill_layer
    prompts = _Prompts(attention_s, prefill_layer.median)
    yield from _types(seen.values(), besides, prompts, worker=False)
    there = [seen[key] for key in (("few", True), ("many", True)) if key in seen]
    if len(there) < 2:
        return
    layer = _layer(names.WORKER_DECODE, *there)
    turn_s = LOOPBACK_RTT_S + head.median
    stage = _run(names.STAGE, there, layer.median, known_s=turn_s)
    yield from (layer, stage)
    besides = _Besides(turn_s + stage.median, layer.median)
    yield from _types(seen.values(), besides, prompts, worker=True)


class _Prompts(NamedTuple):
    """What prompts cost beside weights: an operation of attention, and a block, in seconds."""

    attention_s: float
    layer_s: float

    def besides_s(self, step: Step) -> float:
        """Seconds per block, all tokens together."""
        return self.layer_s + _attention_flops(step) * self.attention_s


def _layer(prefix: str, few: Seen, many: Seen) -> Fitted:
    more = many.step.shape.n_block - few.step.shape.n_block
    pairs = zip(few.token, many.token, strict=False)
    each = [(long - short) / more for short, long in pairs]
    return _seconds(prefix + names.LAYER, each, many, few)


def _run(name: str, bare: Sequence[Seen], layer_s: float, known_s: float = 0.0) -> Fitted:
    """What a run of few blocks takes beside its blocks, and beside what is known."""
    few = bare[0]
    known_s += few.step.shape.n_block * layer_s
    return _seconds(name, [token - known_s for token in few.token], *bare)


def _attention(narrow: Seen, deep: Seen) -> Iterator[Fitted]:
    """Rates of looking back on a context, where that takes notable time."""
    step = deep.step
    flops = step.shape.n_block * step.attention_flops * step.depth
    phases = (
        (names.DECODE, narrow.token, deep.token, flops),
        (names.PREFILL, narrow.prompt, deep.prompt, flops * step.prompt),
    )
    for prefix, without, having, work in phases:
        least_s = median(without)
        if median(having) - least_s > _LEAST_SHARE * median(having):
            rates = tuple(work / max(took - least_s, _LEAST_S) for took in having)
            yield Fitted(prefix + names.ATTENTION, "flops_per_s", rates, (step, narrow.step))


def _prefill_layer(narrow: Seen, base: Seen, attention_s: float, besides: _Besides) -> Fitted:
    """What a block of a prompt takes besides: two models of one type, two unknowns."""

    def per_block(seen: Seen, took: float) -> float:
        step = seen.step
        blocks = (took - besides.run_s) / step.shape.n_block
        return blocks - _attention_flops(step) * attention_s

    flops = base.step.block_flops - narrow.step.block_flops
    wide_s, narrow_s = (per_block(one, median(one.prompt)) for one in (base, narrow))
    each_s = max(wide_s - narrow_s, 0.0) / flops * narrow.step.block_flops
    samples = [per_block(narrow, took) - each_s for took in narrow.prompt]
    return _seconds(names.PREFILL + names.LAYER, samples, narrow, base)


def _types(
    seen: Iterable[Seen], besides: _Besides, prompts: _Prompts, *, worker: bool
) -> Iterator[Fitted]:
    decode = names.WORKER_DECODE if worker else names.DECODE
    prefill = names.WORKER_PREFILL if worker else names.PREFILL
    for one in seen:
        step = one.step
        if step.worker != worker or step.name != step.kind:
            continue
        blocks, head = step.shape.n_block, head_bytes(step.shape, step.kind)
        size = blocks * block_bytes(step.shape, step.kind) + head
        fixed_s = besides.run_s + blocks * besides.layer_s
        rates = tuple(size / max(took - fixed_s, _LEAST_S) for took in one.token)
        yield Fitted(decode + step.kind, "bytes_per_s", rates, (step,))
        fixed_s = besides.run_s + head / median(rates) + blocks * prompts.besides_s(step)
        flops = blocks * step.block_flops
        speeds = tuple(flops / max(took - fixed_s, _LEAST_S) for took in one.prompt)
        yield Fitted(prefill + step.kind, "flops_per_s", speeds, (step,))


def _attention_flops(step: Step) -> float:
    """Operations of a block's attention over the prompt itself."""
    return step.attention_flops * step.prompt * step.prompt / 2


def _seconds(name: str, samples: Iterable[float], *seen: Seen) -> Fitted:
    least = tuple(max(one, _LEAST_S) for one in samples)
    return Fitted(name, "s", least, tuple(one.step for one in seen))
