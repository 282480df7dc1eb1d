"""Bytes a model takes when it runs, beside its weights: KV cache, compute and host buffers.

Facts as in llama.cpp build 11434 (``llama-kv-cache*.cpp``, ``llama-context.cpp``,
``ggml-backend.cpp``), with flash attention, which it turns on by itself, and one KV cache per
conversation (``--no-kv-unified``). Held against ``llama-fit-params`` in tests/gguf/cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.errors import ModelError
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

    It is ``inputs + max(blocks[first : last + 1])``, the output's entry counting among the blocks
    on the device that has the output head. All in bytes.
    """

    inputs: int
    blocks: tuple[int, ...]
    output: int


class HostBuffers(NamedTuple):
    """Bytes in the coordinator's RAM whatever the placement: token embedding and scratch."""

    weights: int
    compute: int


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


def compute_buffers(workload: Workload, run: RunShape, *, pipelined: bool = True) -> ComputeBuffers:
    """Estimate llama.cpp's compute buffers per device; see ``ComputeBuffers`` for how to add up.

    Args:
        workload: The model.
        run: How it is run.
        pipelined: Whether several devices that all work asynchronously share the model and no
            block runs on the coordinator's own CPU backend. llama.cpp then keeps four copies of
            what a device is fed. True is the safe assumption, being the larger.
    """
    copies = _COPIES if pipelined else 1
    hidden = _F32 * run.batch * workload.n_embd
    masks = copies * _masks(workload, run)
    # Measured: a device is fed the hidden state and holds as much again; the first one holds the
    # embedded tokens thrice, because a batch may mix tokens with vectors, and one working copy.
    inputs = masks + (2 * copies if pipelined else 3) * hidden
    first = (copies + 1 if pipelined else 1) * hidden
    blocks = [_F32 * run.batch * block.scratch for block in workload.blocks]
    blocks[0] += first
    outputs = min(run.batch, run.parallel if run.outputs is None else run.outputs)
    logits = _F32 * outputs * workload.n_vocab
    return ComputeBuffers(inputs=inputs, blocks=tuple(blocks), output=hidden + logits)


def host_buffers(workload: Workload, run: RunShape, *, pipelined: bool = True) -> HostBuffers:
    """Estimate what the coordinator's host keeps beside the stages.

    Args:
        workload: The model.
        run: How it is run.
        pipelined: As for ``compute_buffers``.
    """
    copies = _COPIES if pipelined else 1
    hidden = _F32 * run.batch * workload.n_embd
    # Two inputs of the width of the hidden state, in copies, and two results of looking tokens up.
    compute = copies * _masks(workload, run) + (2 * copies + 2) * hidden
    return HostBuffers(weights=workload.embedding_bytes, compute=compute)


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
