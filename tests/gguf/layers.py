"""The parts that model files are made of: metadata and tensors, as llama.cpp asks for them."""

from __future__ import annotations

from typing import Final

from tests.gguf.writer import Tensor, Value

Metadata = dict[str, Value]


def common(
    arch: str, n_block: int, n_embd: int, *, heads: tuple[int, int], n_ff: int, n_vocab: int
) -> Metadata:
    """Metadata that every architecture has."""
    return {
        "general.architecture": arch,
        "general.name": f"a {arch} of {n_block} blocks",
        "tokenizer.ggml.model": "no_vocab",
        f"{arch}.vocab_size": n_vocab,
        f"{arch}.context_length": 131072,
        f"{arch}.block_count": n_block,
        f"{arch}.embedding_length": n_embd,
        f"{arch}.feed_forward_length": n_ff,
        f"{arch}.attention.head_count": heads[0],
        f"{arch}.attention.head_count_kv": heads[1],
        f"{arch}.attention.layer_norm_rms_epsilon": 1e-6,
    }


def experts(arch: str, n_expert: int, n_expert_used: int, n_ff: int) -> Metadata:
    """Metadata of routed experts."""
    return {
        f"{arch}.expert_count": n_expert,
        f"{arch}.expert_used_count": n_expert_used,
        f"{arch}.expert_feed_forward_length": n_ff,
    }


def ssm(arch: str, n_embd: int) -> Metadata:
    """Metadata of a Mamba mixer."""
    return {
        f"{arch}.ssm.conv_kernel": 4,
        f"{arch}.ssm.inner_size": 2 * n_embd,
        f"{arch}.ssm.state_size": 16,
        f"{arch}.ssm.time_step_rank": n_embd // 16,
    }


def ends(n_embd: int, n_vocab: int, quant: str, *, tied: bool = False) -> list[Tensor]:
    """Token embedding, output norm, and an output projection unless it is tied."""
    wide = "Q8_0" if quant == "Q8_0" else "Q6_K"
    tensors = [
        Tensor("token_embd.weight", (n_embd, n_vocab), wide if tied else quant),
        Tensor("output_norm.weight", (n_embd,), "F32"),
    ]
    return tensors if tied else [*tensors, Tensor("output.weight", (n_embd, n_vocab), wide)]


def norms(index: int, width: int, *names: str) -> list[Tensor]:
    """Norms of a block, all of one width."""
    return [Tensor(f"blk.{index}.{name}.weight", (width,), "F32") for name in names]


def attention(
    index: int, n_embd: int, heads: tuple[int, int], head_dim: int, quant: str
) -> list[Tensor]:
    """Grouped-query attention with its norm; heads are those of queries and of keys."""
    block, q_width, kv_width = f"blk.{index}", heads[0] * head_dim, heads[1] * head_dim
    return [
        *norms(index, n_embd, "attn_norm"),
        Tensor(f"{block}.attn_q.weight", (n_embd, q_width), quant),
        Tensor(f"{block}.attn_k.weight", (n_embd, kv_width), quant),
        Tensor(f"{block}.attn_v.weight", (n_embd, kv_width), "Q6_K" if quant == "Q4_K" else quant),
        Tensor(f"{block}.attn_output.weight", (q_width, n_embd), quant),
    ]


def ffn(index: int, n_embd: int, n_ff: int, quant: str) -> list[Tensor]:
    """A gated feed-forward with its norm."""
    return [*norms(index, n_embd, "ffn_norm"), *ffn_matrices(index, n_embd, n_ff, quant)]


def ffn_matrices(
    index: int,
    n_embd: int,
    n_ff: int,
    quant: str,
    *,
    suffix: str = "",
    experts: tuple[int, ...] = (),
) -> list[Tensor]:
    """The three matrices of a gated feed-forward."""
    wide, narrow = (n_embd, n_ff, *experts), (n_ff, n_embd, *experts)
    return [
        Tensor(f"blk.{index}.ffn_gate{suffix}.weight", wide, quant),
        Tensor(f"blk.{index}.ffn_up{suffix}.weight", wide, quant),
        Tensor(f"blk.{index}.ffn_down{suffix}.weight", narrow, quant),
    ]


def moe(
    index: int, n_embd: int, n_ff: int, n_expert: int, quant: str, *, norm: bool = True
) -> list[Tensor]:
    """A router and its experts."""
    return [
        *(norms(index, n_embd, "ffn_norm") if norm else []),
        Tensor(f"blk.{index}.ffn_gate_inp.weight", (n_embd, n_expert), "F32"),
        *ffn_matrices(index, n_embd, n_ff, quant, suffix="_exps", experts=(n_expert,)),
    ]


def mamba(index: int, n_embd: int, quant: str) -> list[Tensor]:
    """A Mamba mixer of inner width twice the hidden one."""
    block, inner, state, rank = f"blk.{index}", 2 * n_embd, 16, n_embd // 16
    return [
        Tensor(f"{block}.ssm_in.weight", (n_embd, 2 * inner), quant),
        Tensor(f"{block}.ssm_conv1d.weight", (4, inner), "F32"),
        Tensor(f"{block}.ssm_conv1d.bias", (inner,), "F32"),
        Tensor(f"{block}.ssm_x.weight", (inner, rank + 2 * state), "F32"),
        Tensor(f"{block}.ssm_dt.weight", (rank, inner), "F32"),
        Tensor(f"{block}.ssm_dt.bias", (inner,), "F32"),
        Tensor(f"{block}.ssm_a", (state, inner), "F32"),
        Tensor(f"{block}.ssm_d", (inner,), "F32"),
        Tensor(f"{block}.ssm_out.weight", (inner, n_embd), quant),
    ]


def biases(index: int, **widths: int) -> list[Tensor]:
    """Biases of a block, by the names of what they belong to."""
    return [Tensor(f"blk.{index}.{name}.bias", (width,), "F32") for name, width in widths.items()]


def ssm2(arch: str, inner: int, state: int, groups: int, heads: int) -> Metadata:
    """Metadata of a Mamba-2 mixer."""
    return {
        f"{arch}.ssm.conv_kernel": 4,
        f"{arch}.ssm.inner_size": inner,
        f"{arch}.ssm.state_size": state,
        f"{arch}.ssm.group_count": groups,
        f"{arch}.ssm.time_step_rank": heads,
    }


def mamba2(
    index: int, n_embd: int, quant: str, shape: tuple[int, int, int, int], *, norm: bool = True
) -> list[Tensor]:
    """A Mamba-2 mixer of the shape that ``ssm2`` describes: inner width, state, groups, heads."""
    inner, state, groups, heads = shape
    block, mixed = f"blk.{index}", inner + 2 * groups * state
    tensors = [
        Tensor(f"{block}.ssm_in.weight", (n_embd, inner + mixed + heads), quant),
        Tensor(f"{block}.ssm_conv1d.weight", (4, mixed), "F32"),
        Tensor(f"{block}.ssm_conv1d.bias", (mixed,), "F32"),
        Tensor(f"{block}.ssm_dt.bias", (heads,), "F32"),
        Tensor(f"{block}.ssm_a", (1, heads), "F32"),
        Tensor(f"{block}.ssm_d", (1, heads), "F32"),
        Tensor(f"{block}.ssm_out.weight", (inner, n_embd), quant),
    ]
    if norm:
        tensors.append(Tensor(f"{block}.ssm_norm.weight", (inner // groups, groups), "F32"))
    return tensors


def rwkv7_mixers(index: int, n_embd: int, n_ff: int, quant: str) -> list[Tensor]:
    """A time mixer and a channel mixer of RWKV-7, of the low ranks of its 2.9B model."""
    block = f"blk.{index}"
    ranks = {"w": 96, "a": 96, "v": 64 if index else 96, "g": 320}
    vectors = [f"time_mix_{name}" for name in ("w0", "a0", "v0", "k_k", "k_a", "r_k", "ln")]
    names = [*vectors, "attn_norm", "attn_norm_2"]
    tensors = norms(index, n_embd, *names)
    tensors += biases(index, attn_norm=n_embd, attn_norm_2=n_embd, time_mix_ln=n_embd)
    for name, rank in ranks.items():
        tensors.append(Tensor(f"{block}.time_mix_{name}1.weight", (n_embd, rank), "F16"))
        tensors.append(Tensor(f"{block}.time_mix_{name}2.weight", (rank, n_embd), "F16"))
    tensors += [
        Tensor(f"{block}.time_mix_{name}.weight", (n_embd, n_embd), quant)
        for name in ("key", "value", "receptance", "output")
    ]
    return [
        *tensors,
        Tensor(f"{block}.time_mix_lerp_fused.weight", (n_embd, 1, 1, 6), "F32"),
        Tensor(f"{block}.channel_mix_lerp_k.weight", (n_embd, 1, 1), "F32"),
        Tensor(f"{block}.channel_mix_key.weight", (n_embd, n_ff), quant),
        Tensor(f"{block}.channel_mix_value.weight", (n_ff, n_embd), quant),
    ]


LATENT: Final[Metadata] = {
    "deepseek2.attention.q_lora_rank": 1536,
    "deepseek2.attention.kv_lora_rank": 512,
    "deepseek2.attention.key_length": 512 + 64,
    "deepseek2.attention.value_length": 512,
    "deepseek2.attention.key_length_mla": 128 + 64,
    "deepseek2.attention.value_length_mla": 128,
    "deepseek2.rope.dimension_count": 64,
}


def latent_attention(index: int, n_embd: int, n_head: int, quant: str) -> list[Tensor]:
    """Multi-head latent attention as ``LATENT`` describes it."""
    block, rank_q, rank_kv, rope, width = f"blk.{index}", 1536, 512, 64, 128
    return [
        *norms(index, n_embd, "attn_norm"),
        *norms(index, rank_q, "attn_q_a_norm"),
        *norms(index, rank_kv, "attn_kv_a_norm"),
        Tensor(f"{block}.attn_q_a.weight", (n_embd, rank_q), quant),
        Tensor(f"{block}.attn_q_b.weight", (rank_q, n_head * (width + rope)), quant),
        Tensor(f"{block}.attn_kv_a_mqa.weight", (n_embd, rank_kv + rope), quant),
        Tensor(f"{block}.attn_k_b.weight", (width, rank_kv, n_head), "Q8_0"),
        Tensor(f"{block}.attn_v_b.weight", (rank_kv, width, n_head), "Q8_0"),
        Tensor(f"{block}.attn_output.weight", (n_head * width, n_embd), quant),
    ]
