"""Bytes a model takes when it runs, beside its weights: KV cache, compute and host buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hgx.core.workload import KvShape, Workload


class RunShape(NamedTuple):
    """How a model is run, as far as memory is concerned.

    Attributes:
        ctx: Context length of one conversation, in tokens.
        parallel: Conversations at a time.
        kv_type: Type of the KV cache's elements, as llama.cpp names it.
        ubatch: Tokens that pass through the model at once; llama.cpp's default.
    """

    ctx: int
    parallel: int = 1
    kv_type: str = "f16"
    ubatch: int = 512


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
    """Bytes one block keeps for all conversations: KV cells and recurrent state."""
    raise NotImplementedError


def compute_buffers(workload: Workload, run: RunShape) -> ComputeBuffers:
    """Estimate llama.cpp's compute buffers per device; see ``ComputeBuffers`` for how to add up."""
    raise NotImplementedError


def host_buffers(workload: Workload, run: RunShape) -> HostBuffers:
    """Estimate what the coordinator's host keeps beside the stages."""
    raise NotImplementedError
