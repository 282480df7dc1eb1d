"""The work of a workload: bytes to read and operations to do, per block, for what is predicted.

Two phases are predicted. *Decode* makes one token for each of the parallel streams, at the mean
context of the answer. *Prefill* reads one prompt in micro-batches. Arrays have one entry per
block and one more, the last, for the output head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.gguf.memory import RunShape
from hgx.gguf.quant import by_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.core.options import PlanOptions
    from hgx.core.workload import Workload

    Floats = NDArray[np.float64]


UBATCH = 512
"""Tokens that pass through the model at once; llama.cpp's default."""


class Kinds(NamedTuple):
    """The matrix products of a batch by quantisation type, one row per type.

    Attributes:
        names: Of the types.
        weights: Bytes of weights read, shape ``(types, n_block + 1)``.
        flops: Operations, without attention over the context, of the same shape.
    """

    names: tuple[str, ...]
    weights: Floats
    flops: Floats


NO_KINDS = Kinds((), np.zeros((0, 1)), np.zeros((0, 1)))


class Batch(NamedTuple):
    """Tokens that pass through the model together.

    Attributes:
        read_bytes: Bytes each block reads: weights once, KV per stream. Shape ``(n_block + 1,)``.
        flops: Operations each block does. Shape ``(n_block + 1,)``.
        tokens: Tokens whose hidden states cross from stage to stage.
        outputs: Tokens whose logits or samples come back from the output head.
        context: Tokens of context the attention mask covers.
        times: How often such a batch runs.
        kinds: Those parts of ``read_bytes`` and ``flops`` that depend on quantisation.
        prefill: Whether it is a micro-batch of a prompt.
    """

    read_bytes: Floats
    flops: Floats
    tokens: int
    outputs: int
    context: float
    times: int
    kinds: Kinds = NO_KINDS
    prefill: bool = False


class Work(NamedTuple):
    """Decode of one token per stream, and the micro-batches that prefill one prompt."""

    decode: Batch
    prefill: tuple[Batch, ...]

    @property
    def batches(self) -> int:
        """Micro-batches that the prompt is read in."""
        return sum(batch.times for batch in self.prefill)


def run_shape(options: PlanOptions) -> RunShape:
    """What the memory formulas need of the options.

    Logits are counted for a whole micro-batch, as ``llama-fit-params`` and older servers do. A
    server that keeps one set per conversation takes less, never more.
    """
    return RunShape(
        ctx=options.ctx, parallel=options.parallel, kv_type=options.kv_type, outputs=UBATCH
    )


def measure_work(workload: Workload, options: PlanOptions) -> Work:
    """Count bytes and operations for the prompt, answer and streams of the options."""
    parts = _parts(workload, options)
    prompt = min(options.prompt_tokens, options.ctx)
    fresh = max(1, prompt - options.cached_tokens)
    context = min(prompt + options.output_tokens / 2, float(options.ctx))
    streams = options.parallel
    decode = _batch(parts, tokens=streams, streams=streams, context=context, times=1)
    full, rest = divmod(fresh, UBATCH)
    sizes = ((UBATCH, full), (rest, 1))
    prefill = tuple(
        _batch(parts, tokens=size, streams=1, context=prompt - fresh / 2, times=times)._replace(
            prefill=True
        )
        for size, times in sizes
        if size and times
    )
    return Work(decode, prefill)


class _Parts(NamedTuple):
    """What a workload says of its blocks, as arrays of shape ``(n_block + 1,)``, head last.

    Attributes:
        weights: Bytes of weights.
        experts: Those of them that are routed.
        share: Part of the experts that one token uses.
        flops: Operations per token, without attention.
        attention: Operations per token and token of context.
        window: Tokens that are looked back on at most; infinite without a sliding window.
        kv_row: Bytes of KV per token of context.
        state: Bytes of recurrent state per stream.
        names: Of the quantisation types.
        by_type: Bytes of weights by type, shape ``(types, n_block + 1)``.
        type_share: Part of the operations by type, of the same shape.
    """

    weights: Floats
    experts: Floats
    share: Floats
    flops: Floats
    attention: Floats
    window: Floats
    kv_row: Floats
    state: Floats
    names: tuple[str, ...]
    by_type: Floats
    type_share: Floats


def _parts(workload: Workload, options: PlanOptions) -> _Parts:
    kv_type = by_name(options.kv_type)
    element_bytes = kv_type.block_bytes / kv_type.block
    blocks = (*workload.blocks, workload.output)
    names = tuple(sorted({name for block in blocks for name in block.weight_bytes}))
    rows = [[float(block.weight_bytes.get(name, 0)) for block in blocks] for name in names]
    by_type = np.array(rows).reshape(len(names), len(blocks))
    # Operations go with elements, and experts of a block are taken to be of types like the rest.
    kinds = [by_name(name) for name in names]
    elements = by_type * np.array([kind.block / kind.block_bytes for kind in kinds])[:, None]
    total = elements.sum(axis=0)
    windows = [block.kv.window for block in blocks]
    return _Parts(
        weights=by_type.sum(axis=0),
        experts=np.array([float(block.expert_bytes) for block in blocks]),
        share=np.array([block.expert_share for block in blocks]),
        flops=np.array([block.flops_per_token for block in blocks]),
        attention=np.array([block.attention_flops for block in blocks]),
        window=np.array([np.inf if window is None else float(window) for window in windows]),
        kv_row=np.array(
            [element_bytes * (block.kv.k_width + block.kv.v_width) for block in blocks]
        ),
        state=np.array([float(block.kv.state_bytes) for block in blocks]),
        names=names,
        by_type=by_type,
        type_share=_quotient(elements, total),
    )


def _batch(parts: _Parts, *, tokens: int, streams: int, context: float, times: int) -> Batch:
    outputs = streams  # a prompt needs the logits of its last token only
    passing = np.full(len(parts.weights), float(tokens))
    passing[-1] = outputs
    # Each token picks its own experts: n tokens touch 1 - (1 - share)^n of them.
    touched = 1.0 - (1.0 - parts.share) ** passing
    weights = parts.weights - parts.experts * (1.0 - touched)
    seen = np.minimum(context, parts.window)
    reads = weights + streams * (seen * parts.kv_row + parts.state)
    flops = passing * (parts.flops + parts.attention * seen)
    kinds = Kinds(
        parts.names,
        parts.by_type * _quotient(weights, parts.weights),
        parts.type_share * (passing * parts.flops),
    )
    return Batch(reads, flops, tokens, outputs, context, times, kinds)


def _quotient(one: Floats, other: Floats) -> Floats:
    """Divide, with zero where there is nothing to divide by."""
    return np.divide(one, other, out=np.zeros_like(one), where=other > 0)
