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


class Batch(NamedTuple):
    """Tokens that pass through the model together.

    Attributes:
        read_bytes: Bytes each block reads: weights once, KV per stream. Shape ``(n_block + 1,)``.
        flops: Operations each block does. Shape ``(n_block + 1,)``.
        tokens: Tokens whose hidden states cross from stage to stage.
        outputs: Tokens whose logits or samples come back from the output head.
        context: Tokens of context the attention mask covers.
        times: How often such a batch runs.
    """

    read_bytes: Floats
    flops: Floats
    tokens: int
    outputs: int
    context: float
    times: int


class Work(NamedTuple):
    """Decode of one token per stream, and the micro-batches that prefill one prompt."""

    decode: Batch
    prefill: tuple[Batch, ...]


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
    prompt = min(options.prompt_tokens, options.ctx)
    context = min(prompt + options.output_tokens / 2, float(options.ctx))
    streams = options.parallel
    decode = _batch(workload, options, tokens=streams, streams=streams, context=context, times=1)
    full, rest = divmod(prompt, UBATCH)
    sizes = ((UBATCH, full), (rest, 1))
    prefill = tuple(
        _batch(workload, options, tokens=size, streams=1, context=prompt / 2, times=times)
        for size, times in sizes
        if size and times
    )
    return Work(decode, prefill)


def _batch(
    workload: Workload,
    options: PlanOptions,
    *,
    tokens: int,
    streams: int,
    context: float,
    times: int,
) -> Batch:
    kv_type = by_name(options.kv_type)
    element_bytes = kv_type.block_bytes / kv_type.block
    reads: list[float] = []
    flops: list[float] = []
    for block in workload.blocks:
        # Each token picks its own experts: n tokens touch 1 - (1 - share)^n of them.
        touched = 1.0 - (1.0 - block.expert_share) ** tokens
        weights = block.total_weight_bytes - block.expert_bytes * (1.0 - touched)
        seen = context if block.kv.window is None else min(context, block.kv.window)
        kv_row = element_bytes * (block.kv.k_width + block.kv.v_width)
        reads.append(weights + streams * (seen * kv_row + block.kv.state_bytes))
        flops.append(tokens * (block.flops_per_token + block.attention_flops * seen))
    outputs = streams  # a prompt needs the logits of its last token only
    reads.append(float(workload.output.total_weight_bytes))
    flops.append(outputs * workload.output.flops_per_token)
    return Batch(np.array(reads), np.array(flops), tokens, outputs, context, times)
