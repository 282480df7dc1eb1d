"""Model files of recurrent and hybrid architectures, with the shapes of models that people run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gguf.layers import (
    attention,
    common,
    ends,
    ffn,
    ffn_matrices,
    mamba2,
    moe,
    norms,
    rwkv7_mixers,
    ssm2,
)
from tests.gguf.writer import Tensor, write_gguf

if TYPE_CHECKING:
    from pathlib import Path

_QUANT = "Q4_K"


def mamba2_like(path: Path) -> Path:
    """A mamba2, recurrent throughout: Mamba-Codestral-7B."""
    n_block, n_embd, n_vocab = 64, 4096, 32768
    shape = (8192, 128, 8, 128)
    meta = common("mamba2", n_block, n_embd, heads=(0, 0), n_ff=0, n_vocab=n_vocab)
    meta |= ssm2("mamba2", *shape)
    tensors = ends(n_embd, n_vocab, _QUANT)
    for index in range(n_block):
        tensors += norms(index, n_embd, "attn_norm")
        tensors += mamba2(index, n_embd, _QUANT, shape)
    return write_gguf(path, meta, tensors)


def falcon_h1_like(path: Path) -> Path:
    """A falcon-h1, with a recurrent mixer beside attention in every block: Falcon-H1-7B."""
    n_block, n_embd, heads, n_ff, n_vocab = 44, 3072, (12, 2), 12288, 130048
    shape = (3072, 256, 1, 24)
    meta = common("falcon-h1", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=n_vocab)
    meta |= ssm2("falcon-h1", *shape)
    meta |= {"falcon-h1.attention.key_length": 128, "falcon-h1.attention.value_length": 128}
    tensors = ends(n_embd, n_vocab, _QUANT)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)
        tensors += mamba2(index, n_embd, _QUANT, shape, norm=False)
        tensors.append(Tensor(f"blk.{index}.ffn_norm", (n_embd,), "F32"))
        tensors += ffn_matrices(index, n_embd, n_ff, _QUANT)
    return write_gguf(path, meta, tensors)


def granitehybrid_like(path: Path) -> Path:
    """A granitehybrid, with one attention block in ten and experts: Granite-4.0-H-Small."""
    n_block, n_embd, heads, n_ff, n_vocab = 40, 4096, (32, 8), 768, 100352
    shape = (8192, 128, 1, 128)
    attends = [index % 10 == 5 for index in range(n_block)]
    meta = common("granitehybrid", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=n_vocab)
    meta |= ssm2("granitehybrid", *shape) | {
        "granitehybrid.attention.head_count_kv": [heads[1] if it else 0 for it in attends],
        "granitehybrid.expert_count": 72,
        "granitehybrid.expert_used_count": 10,
        "granitehybrid.expert_shared_feed_forward_length": 1536,
        "granitehybrid.embedding_scale": 12.0,
        "granitehybrid.residual_scale": 0.22,
        "granitehybrid.logit_scale": 16.0,
        "granitehybrid.attention.scale": 0.0078125,
    }
    tensors = ends(n_embd, n_vocab, _QUANT, tied=True)
    for index, attending in enumerate(attends):
        if attending:
            tensors += attention(index, n_embd, heads, 128, _QUANT)
        else:
            tensors += norms(index, n_embd, "attn_norm")
            tensors += mamba2(index, n_embd, _QUANT, shape)
        tensors += moe(index, n_embd, n_ff, 72, _QUANT)
        tensors += ffn_matrices(index, n_embd, 1536, _QUANT, suffix="_shexp")
    return write_gguf(path, meta, tensors)


def nemotron_h_like(path: Path) -> Path:
    """A nemotron_h, where a block is a mixer, attention or a feed-forward: Nemotron-H-8B."""
    n_embd, heads, n_ff, n_vocab = 4096, (32, 8), 21504, 131072
    pattern = "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-"
    shape = (8192, 128, 8, 128)
    meta = common("nemotron_h", len(pattern), n_embd, heads=heads, n_ff=n_ff, n_vocab=n_vocab)
    meta |= ssm2("nemotron_h", *shape) | {
        "nemotron_h.attention.head_count_kv": [heads[1] if it == "*" else 0 for it in pattern],
        "nemotron_h.attention.key_length": 128,
        "nemotron_h.attention.value_length": 128,
        "nemotron_h.attention.layer_norm_epsilon": 1e-5,
        "nemotron_h.feed_forward_length": [n_ff if it == "-" else 0 for it in pattern],
    }
    tensors = ends(n_embd, n_vocab, _QUANT)
    for index, kind in enumerate(pattern):
        if kind == "*":
            tensors += attention(index, n_embd, heads, 128, _QUANT)
            continue
        tensors += norms(index, n_embd, "attn_norm")
        if kind == "M":
            tensors += mamba2(index, n_embd, _QUANT, shape)
        else:
            tensors += ffn_matrices(index, n_embd, n_ff, _QUANT)[1:]  # without a gate
    return write_gguf(path, meta, tensors)


def lfm2_like(path: Path) -> Path:
    """An lfm2, with short convolutions between its attention blocks: LFM2-1.2B."""
    n_block, n_embd, heads, n_ff, n_vocab = 16, 2048, (32, 8), 8192, 65536
    attends = [index in {2, 5, 8, 10, 12, 14} for index in range(n_block)]
    meta = common("lfm2", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=n_vocab)
    meta["lfm2.attention.head_count_kv"] = [heads[1] if it else 0 for it in attends]
    meta["lfm2.shortconv.l_cache"] = 3
    tensors = [
        row._replace(name=row.name.replace("output_norm", "token_embd_norm"))
        for row in ends(n_embd, n_vocab, _QUANT, tied=True)
    ]
    for index, attending in enumerate(attends):
        block = f"blk.{index}"
        if attending:
            tensors += attention(index, n_embd, heads, 64, _QUANT)
            tensors += norms(index, 64, "attn_q_norm", "attn_k_norm")
        else:
            tensors += norms(index, n_embd, "attn_norm")
            tensors += [
                Tensor(f"{block}.shortconv.conv.weight", (3, n_embd), "F32"),
                Tensor(f"{block}.shortconv.in_proj.weight", (n_embd, 3 * n_embd), _QUANT),
                Tensor(f"{block}.shortconv.out_proj.weight", (n_embd, n_embd), _QUANT),
            ]
        tensors += ffn(index, n_embd, n_ff, _QUANT)
    return write_gguf(path, meta, tensors)


def rwkv7_like(path: Path) -> Path:
    """An rwkv7, recurrent throughout: RWKV-7-World-2.9B."""
    n_block, n_embd, n_ff, n_vocab = 32, 2560, 10240, 65536
    meta = common("rwkv7", n_block, n_embd, heads=(0, 0), n_ff=n_ff, n_vocab=n_vocab)
    meta |= {
        "rwkv7.attention.layer_norm_epsilon": 1e-5,
        "rwkv7.wkv.head_size": 64,
        "rwkv7.attention.decay_lora_rank": 96,
        "rwkv7.attention.iclr_lora_rank": 96,
        "rwkv7.attention.value_residual_mix_lora_rank": 64,
        "rwkv7.attention.gate_lora_rank": 320,
    }
    tensors = [
        *ends(n_embd, n_vocab, _QUANT),
        Tensor("output_norm.bias", (n_embd,), "F32"),
        Tensor("token_embd_norm.weight", (n_embd,), "F32"),
        Tensor("token_embd_norm.bias", (n_embd,), "F32"),
    ]
    for index in range(n_block):
        tensors += rwkv7_mixers(index, n_embd, n_ff, _QUANT)
    return write_gguf(path, meta, tensors)
