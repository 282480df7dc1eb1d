"""Model files of architectures with experts, with the shapes of models that people run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gguf.layers import (
    attention,
    biases,
    common,
    ends,
    experts,
    ffn_matrices,
    moe,
    norms,
)
from tests.gguf.writer import Tensor, write_gguf

if TYPE_CHECKING:
    from pathlib import Path

_QUANT = "Q4_K"


def mixtral_like(path: Path) -> Path:
    """A llama with experts: Mixtral-8x7B."""
    n_block, n_embd, heads, n_ff = 32, 4096, (32, 8), 14336
    meta = common("llama", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=32000)
    meta |= {"llama.rope.dimension_count": 128}
    meta |= {"llama.expert_count": 8, "llama.expert_used_count": 2}
    tensors = ends(n_embd, 32000, _QUANT)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)
        tensors += moe(index, n_embd, n_ff, 8, _QUANT)
    return write_gguf(path, meta, tensors)


def llama4_like(path: Path) -> Path:
    """A llama4 with windows, one expert per token and a shared one: Llama-4-Scout."""
    n_block, n_embd, heads, n_ff = 48, 5120, (40, 8), 8192
    meta = common("llama4", n_block, n_embd, heads=heads, n_ff=16384, n_vocab=202048)
    meta |= experts("llama4", 16, 1, n_ff)
    meta |= {"llama4.rope.dimension_count": 128, "llama4.interleave_moe_layer_step": 1}
    tensors = ends(n_embd, 202048, _QUANT)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)
        tensors += moe(index, n_embd, n_ff, 16, _QUANT)
        tensors += ffn_matrices(index, n_embd, n_ff, _QUANT, suffix="_shexp")
    return write_gguf(path, meta, tensors)


def glm4moe_like(path: Path) -> Path:
    """A glm4moe whose last block only predicts further tokens: GLM-4.5-Air."""
    n_block, n_embd, heads, n_ff, n_expert = 47, 4096, (96, 8), 1408, 128
    meta = common("glm4moe", n_block, n_embd, heads=heads, n_ff=10944, n_vocab=151552)
    meta |= experts("glm4moe", n_expert, 8, n_ff)
    meta |= {
        "glm4moe.attention.key_length": 128,
        "glm4moe.attention.value_length": 128,
        "glm4moe.rope.dimension_count": 64,
        "glm4moe.expert_shared_count": 1,
        "glm4moe.expert_weights_norm": True,
        "glm4moe.expert_weights_scale": 1.0,
        "glm4moe.leading_dense_block_count": 1,
        "glm4moe.nextn_predict_layers": 1,
    }
    tensors = ends(n_embd, 151552, _QUANT)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)
        tensors += biases(index, attn_q=96 * 128, attn_k=1024, attn_v=1024)
        tensors += norms(index, n_embd, "post_attention_norm")
        if not index:
            # 10944 is no multiple of Q4_K's block.
            tensors += ffn_matrices(index, n_embd, 10944, "Q8_0")
            continue
        # Nor is 1408.
        tensors += moe(index, n_embd, n_ff, n_expert, "Q8_0", norm=False)
        tensors += ffn_matrices(index, n_embd, n_ff, "Q8_0", suffix="_shexp")
        tensors.append(Tensor(f"blk.{index}.exp_probs_b.bias", (n_expert,), "F32"))
    last = f"blk.{n_block - 1}.nextn"
    tensors += [
        Tensor(f"{last}.eh_proj.weight", (2 * n_embd, n_embd), _QUANT),
        *[
            Tensor(f"{last}.{name}.weight", (n_embd,), "F32")
            for name in ("enorm", "hnorm", "shared_head_norm")
        ],
    ]
    return write_gguf(path, meta, tensors)
