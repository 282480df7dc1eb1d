"""Bytes a model takes when it runs, beside its weights: KV cache, compute and host buffers.

Facts as in llama.cpp build 11434 (``llama-kv-cache*.cpp``, ``llama-context.cpp``,
``ggml-backend.cpp``), with flash attention, which it turns on by itself, and one KV cache per
conversation (``--no-kv-unified``). Held against ``llama-fit-params`` in tests/gguf/cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.errors import ModelError
from hgx.gguf.arrangement import Arrangement
from hgx.gguf.quant import by_name

if TYPE_CHECKING:
    from hgx.core.workload import KvShape, Workload

_PAD: Final = 256
"""llama.cpp rounds the cells of a KV cache up to a multiple of this."""

_F32: Final = 4
_MASK: Final = 2
"""Bytes of an element of the attention mask, which is F16 with flash attention."""

_COPIES: Final = 4
"""Copies of every input that a pipeline over several devices keeps (GGML_SCHED_MAX_COPIES)."""

HIDDEN_ON_HOST: Final = 4
"""Hidden states that the host holds, beside the masks, where nothing is copied for a pipeline."""

_EMBEDDED: Final = 3
"""Ways in which embedded tokens come to the first stage: as they are, as vectors, and mixed."""


class RunShape(NamedTuple):
    """How a model is run, as far as memory is concerned.

    Attributes:
        ctx: Context length of one conversation, in tokens.
        parallel: Conversations at a time.
        kv_type: Type of the KV cache's elements, as llama.cpp names it.
        ubatch: Tokens that pass through the model at once; llama.cpp's default.
        outputs: Tokens of a batch whose logits are kept. None is one per conversation, as
            llama-server does; llama-fit-params, llama-bench and older servers keep all.
    """

    ctx: int
    parallel: int = 1
    kv_type: str = "f16"
    ubatch: int = 512
    outputs: int | None = None

    @property
    def cells(self) -> int:
        """Tokens one conversation has room for: its context, rounded up."""
        return _padded(self.ctx)

    @property
    def batch(self) -> int:
        """Tokens that really pass at once: no more than all conversations hold."""
        return min(self.ubatch, self.cells * self.parallel)


class ComputeBuffers(NamedTuple):
    """Scratch memory on a device that runs blocks ``first`` to ``last``.

    It is ``inputs + entered[first] + max(blocks[first : last + 1])``, the output's entry counting
    among the blocks on the device that has the output head, and ``left[last]`` being added on all
    others. All in bytes.
    """

    inputs: int
    entered: tuple[int, ...]
    left: tuple[int, ...]
    blocks: tuple[int, ...]
    output: int


class HostBuffers(NamedTuple):
    """Bytes in the coordinator's RAM whatever the placement: token embedding and scratch.

    Of the scratch, ``shared`` is counted among the inputs of a first stage there too.
    """

    weights: int
    compute: int
    shared: int = 0


def kv_bytes(kv: KvShape, run: RunShape) -> int:
    """Bytes one block keeps for all conversations: KV cells and recurrent state.

    Raises:
        ModelError: The block's rows are no whole number of the KV type's blocks, which llama.cpp
            refuses too.
    """
    try:
        row = sum(by_name(run.kv_type).row_bytes(width) for width in (kv.k_width, kv.v_width))
    except ValueError as error:
        msg = f"this model cannot keep its KV cache as {run.kv_type}: {error}; use f16"
        raise ModelError(msg) from error
    return run.parallel * (row * _cells(kv.window, run) + kv.state_bytes)


def compute_buffers(workload: Workload, run: RunShape, arrangement: Arrangement) -> ComputeBuffers:
    """Estimate llama.cpp's compute buffers per device; see ``ComputeBuffers`` for how to add up.

    Where block 0 stands, the embedded tokens come in three ways, because a batch may mix tokens
    with vectors; the result of mixing is never given back.

    Args:
        workload: The model.
        run: How it is run.
        arrangement: Of the stages. In a pipeline llama.cpp keeps four copies of what a device is
            fed; where the first stage is on the coordinator's CPU, all is there that it is fed.
    """
    token = _F32 * run.batch
    hidden, masks = token * workload.n_embd, _masks(workload, run)
    outputs = min(run.batch, run.parallel if run.outputs is None else run.outputs)
    logits = _F32 * outputs * workload.n_vocab
    head = max(hidden, token * workload.output.scratch) + logits
    blocks = [token * block.scratch for block in workload.blocks]
    entered = left = [0] * len(blocks)
    match arrangement:
        case Arrangement.PIPELINE:
            inputs = _COPIES * (masks + hidden)
            # The mixing is of the whole stage, so its largest block counts, whichever that is.
            blocks[0] = max(blocks) + (_COPIES * (_EMBEDDED - 1) + 1) * hidden
            entered = [0, *(_COPIES * token * block.handed for block in workload.blocks[:-1])]
            left = [_COPIES * token * block.returned for block in workload.blocks]
        case Arrangement.HOST_FIRST | Arrangement.IN_TURN:
            # What a stage is fed gives way to its results, and masks give way to the logits.
            inputs, head = masks, max(0, head - masks)
            if arrangement is Arrangement.IN_TURN:
                entered = [hidden, *entered[1:]]
        case Arrangement.ALONE:
            # Nothing gives way to the logits that stands before the result of mixing.
            inputs, head = masks + hidden, _EMBEDDED * hidden + logits
    return ComputeBuffers(inputs, tuple(entered), tuple(left), tuple(blocks), head)


def host_buffers(workload: Workload, run: RunShape, arrangement: Arrangement) -> HostBuffers:
    """Estimate what the coordinator's host keeps beside the stages.

    Args:
        workload: The model.
        run: How it is run.
        arrangement: Of the stages; what a first stage on the coordinator's CPU is fed counts
            there, and not again here.
    """
    hidden, masks = _F32 * run.batch * workload.n_embd, _masks(workload, run)
    shared = 0
    match arrangement:
        case Arrangement.PIPELINE:
            # Two inputs of the hidden state's width, and two results of looking tokens up.
            compute = _COPIES * (masks + 2 * hidden) + 2 * hidden
        case Arrangement.HOST_FIRST:
            compute = 3 * hidden
        case Arrangement.ALONE | Arrangement.IN_TURN:
            compute, shared = masks + HIDDEN_ON_HOST * hidden, masks + 3 * hidden
    return HostBuffers(workload.embedding_bytes, compute, shared)


def _cells(window: int | None, run: RunShape) -> int:
    """Cells of one conversation: a window keeps what the next batch may still look back on."""
    return run.cells if window is None else _padded(min(run.cells, window + run.batch))


def _masks(workload: Workload, run: RunShape) -> int:
    """Bytes of one copy of all attention masks: one for all blocks of the same window."""
    keeping = [block.kv for block in workload.blocks if block.kv.k_width]
    cells = sum(_cells(window, run) for window in {kv.window for kv in keeping})
    return _MASK * run.batch * cells


def _padded(tokens: int) -> int:
    return -(-tokens // _PAD) * _PAD
