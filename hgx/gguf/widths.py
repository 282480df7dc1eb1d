"""How wide the intermediate results of a block are, from its metadata and its tensors' shapes.

Facts: ``models/*.cpp`` of llama.cpp build 11434, which builds the graph by the tensors it finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hgx.gguf.mixers import Mixer
from hgx.gguf.scratch import Latent, Widths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.gguf.header import TensorInfo
    from hgx.gguf.hyper import Hyper
    from hgx.gguf.shapes import BlockShape

_UBATCH: Final = 512
"""Tokens that a new state is spread over; llama.cpp's default for a batch."""

_F32: Final = 4

_WEIGHTED_FIRST: Final = frozenset({"llama4"})
"""Architectures that weight what experts read, and not what they give."""

_STATE_FIRST: Final = frozenset({"lfm2", "lfm2moe", "phi3", "phimoe"})
"""Architectures that add what a feed-forward gives to the hidden state, and not the reverse."""


def block_widths(
    hyper: Hyper, shape: BlockShape, tensors: Sequence[TensorInfo], index: int
) -> Widths:
    """Say how wide a block's intermediate results are.

    Args:
        hyper: The model's metadata.
        shape: The block as the metadata describes it.
        tensors: The block's tensors.
        index: The block's number.
    """
    n_embd = hyper.required("embedding_length")
    used = hyper.per_block("expert_used_count")[index] if _has(tensors, "exps.") else 0
    down = {name: rows(tensors, f".ffn_down{name}.weight") for name in ("", "_shexp", "_exps")}
    up = {name: _columns(tensors, f".ffn_up{name}.weight") for name in ("", "_shexp")}
    channel = _columns(tensors, ".channel_mix_key.weight")
    return Widths(
        embd=n_embd,
        q=shape.query,
        k=shape.kv.k_width,
        v=shape.kv.v_width,
        attn=shape.n_head * hyper.scalar("attention.value_length_mla", shape.head_v),
        fused=_has(tensors, ".attn_qkv."),
        latent=_latent(hyper, shape, tensors),
        normed=_has(tensors, ".attn_norm."),
        ff_normed=_has(tensors, ".ffn_norm", ".attn_norm_2.")
        # What stands behind attention comes before the feed-forward, unless it has one behind too.
        or (_has(tensors, ".post_attention_norm.") and not _has(tensors, ".post_ffw_norm.")),
        ff=max(down[""], down["_shexp"], channel),
        up=max(up[""], up["_shexp"], channel),
        gated=_has(tensors, ".ffn_gate.", ".ffn_gate_shexp."),
        expert_ff=used * down["_exps"],
        expert_out=used * n_embd if used else 0,
        expert_in=used * n_embd if hyper.name in _WEIGHTED_FIRST else 0,
        expert_gated=_has(tensors, ".ffn_gate_exps.", ".ffn_gate_up_exps."),
        router=hyper.scalar("expert_count") if used else 0,
        biased=_has(tensors, ".exp_probs_b."),
        state_first=hyper.name in _STATE_FIRST,
        mixer=_mixer(hyper, shape, tensors),
    )


def rows(tensors: Sequence[TensorInfo], ending: str) -> int:
    """Largest input width of the tensors whose names end so; 0 where there are none."""
    return max((it.shape[0] for it in tensors if it.name.endswith(ending)), default=0)


def _columns(tensors: Sequence[TensorInfo], ending: str) -> int:
    """The same of their outputs."""
    return max((it.shape[1] for it in tensors if it.name.endswith(ending)), default=0)


def _has(tensors: Sequence[TensorInfo], *parts: str) -> bool:
    """Whether a tensor's name has one of the parts in it."""
    return any(part in tensor.name for tensor in tensors for part in parts)


def _latent(hyper: Hyper, shape: BlockShape, tensors: Sequence[TensorInfo]) -> Latent | None:
    if not shape.latent or not shape.n_head:
        return None
    rotated = hyper.scalar("rope.dimension_count")
    return Latent(
        rank=_columns(tensors, ".attn_q_a.weight"),
        key=shape.head_k,
        rotated=shape.n_head * rotated,
        absorbed=shape.n_head * (shape.head_k - rotated),
        values=shape.n_head * shape.head_v,
    )


def _mixer(hyper: Hyper, shape: BlockShape, tensors: Sequence[TensorInfo]) -> Mixer | None:
    state = shape.kv.state_bytes // _F32 // _UBATCH
    if not state and not shape.mixer:
        return None
    if _has(tensors, ".time_mix_lerp_fused."):
        rank = _columns(tensors, ".time_mix_g1.weight")
        return Mixer("rwkv7", hyper.required("embedding_length"), rank=rank, state=state)
    if _has(tensors, ".shortconv."):
        return Mixer("convolution", hyper.required("embedding_length"))
    inner, rank = hyper.scalar("ssm.inner_size"), hyper.scalar("ssm.time_step_rank")
    if _has(tensors, ".ssm_x.weight"):
        rank += 2 * hyper.scalar("ssm.state_size")
        return Mixer("mamba", inner, inner, rank, state)
    if _has(tensors, ".ssm_in.weight"):
        mixed = inner + 2 * hyper.scalar("ssm.group_count") * hyper.scalar("ssm.state_size")
        return Mixer("mamba2", inner, mixed, rank, state)
    return Mixer("other", shape.mixer)
