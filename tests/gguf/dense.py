"""Model files of dense architectures, with the shapes of models that people run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gguf.layers import attention, biases, common, ends, ffn, ffn_matrices, norms
from tests.gguf.writer import Tensor, write_gguf

if TYPE_CHECKING:
    from pathlib import Path

_QUANT = "Q4_K"


def qwen2_like(path: Path) -> Path:
    """A qwen2 with biases of queries, keys and values: Qwen2.5-7B."""
    n_block, n_embd, heads, n_ff = 28, 3584, (28, 4), 18944
    meta = common("qwen2", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=152064)
    tensors = ends(n_embd, 152064, _QUANT)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)
        tensors += biases(index, attn_q=3584, attn_k=512, attn_v=512)
        tensors += ffn(index, n_embd, n_ff, _QUANT)
    return write_gguf(path, meta, tensors)


def qwen3_like(path: Path) -> Path:
    """A qwen3 with queries wider than its hidden state and a tied output: Qwen3-4B."""
    n_block, n_embd, heads, n_ff = 36, 2560, (32, 8), 9728
    meta = common("qwen3", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=151936)
    meta |= {"qwen3.attention.key_length": 128, "qwen3.attention.value_length": 128}
    tensors = ends(n_embd, 151936, _QUANT, tied=True)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)
        tensors += norms(index, 128, "attn_q_norm", "attn_k_norm")
        tensors += ffn(index, n_embd, n_ff, _QUANT)
    return write_gguf(path, meta, tensors)


def gemma2_like(path: Path) -> Path:
    """A gemma2 with a window in every second block and a tied output: Gemma-2-9B."""
    n_block, n_embd, heads, n_ff = 42, 3584, (16, 8), 14336
    meta = common("gemma2", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=256000)
    meta |= {
        "gemma2.attention.key_length": 256,
        "gemma2.attention.value_length": 256,
        "gemma2.attention.sliding_window": 4096,
        "gemma2.attn_logit_softcapping": 50.0,
        "gemma2.final_logit_softcapping": 30.0,
    }
    tensors = ends(n_embd, 256000, _QUANT, tied=True)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 256, _QUANT)
        tensors += norms(index, n_embd, "post_attention_norm", "post_ffw_norm")
        tensors += ffn(index, n_embd, n_ff, _QUANT)
    return write_gguf(path, meta, tensors)


def phi3_like(path: Path) -> Path:
    """A phi3, whose projections of a block are fused: Phi-4."""
    n_block, n_embd, heads, n_ff = 40, 5120, (40, 10), 17920
    meta = common("phi3", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=100352)
    meta |= {"phi3.rope.dimension_count": 128, "phi3.attention.sliding_window": 131072}
    tensors = ends(n_embd, 100352, _QUANT)
    for index in range(n_block):
        block = f"blk.{index}"
        tensors += norms(index, n_embd, "attn_norm", "ffn_norm")
        tensors += [
            Tensor(f"{block}.attn_qkv.weight", (n_embd, 5120 + 2 * 1280), _QUANT),
            Tensor(f"{block}.attn_output.weight", (n_embd, n_embd), _QUANT),
            Tensor(f"{block}.ffn_up.weight", (n_embd, 2 * n_ff), _QUANT),
            Tensor(f"{block}.ffn_down.weight", (n_ff, n_embd), _QUANT),
        ]
    return write_gguf(path, meta, tensors)


def command_r_like(path: Path) -> Path:
    """A command-r, where attention and feed-forward stand side by side: Command-R 35B."""
    n_block, n_embd, heads, n_ff = 40, 8192, (64, 64), 22528
    meta = common("command-r", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=256000)
    meta |= {"command-r.attention.layer_norm_epsilon": 1e-5, "command-r.logit_scale": 0.0625}
    tensors = ends(n_embd, 256000, _QUANT, tied=True)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)
        tensors += ffn_matrices(index, n_embd, n_ff, _QUANT)
    return write_gguf(path, meta, tensors)


def cohere2_like(path: Path) -> Path:
    """A cohere2, like command-r but with windows in three blocks of four: Command-R7B."""
    n_block, n_embd, heads, n_ff = 32, 4096, (32, 8), 14336
    meta = common("cohere2", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=256000)
    meta |= {
        "cohere2.attention.layer_norm_epsilon": 1e-5,
        "cohere2.attention.sliding_window": 4096,
        "cohere2.logit_scale": 0.25,
    }
    tensors = ends(n_embd, 256000, _QUANT, tied=True)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)
        tensors += ffn_matrices(index, n_embd, n_ff, _QUANT)
    return write_gguf(path, meta, tensors)


def olmo2_like(path: Path) -> Path:
    """An olmo2, which normalises behind attention and feed-forward: OLMo-2-13B."""
    n_block, n_embd, heads, n_ff = 40, 5120, (40, 40), 13824
    meta = common("olmo2", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=100352)
    meta["olmo2.rope.dimension_count"] = 128
    tensors = ends(n_embd, 100352, _QUANT)
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)[1:]  # without its norm
        tensors += norms(index, n_embd, "attn_q_norm", "attn_k_norm")
        tensors += norms(index, n_embd, "post_attention_norm", "post_ffw_norm")
        tensors += ffn_matrices(index, n_embd, n_ff, _QUANT)
    return write_gguf(path, meta, tensors)


def starcoder2_like(path: Path) -> Path:
    """A starcoder2, with biases everywhere and no gate: StarCoder2-15B."""
    n_block, n_embd, heads, n_ff = 40, 6144, (48, 4), 24576
    meta = common("starcoder2", n_block, n_embd, heads=heads, n_ff=n_ff, n_vocab=49152)
    meta["starcoder2.attention.layer_norm_epsilon"] = 1e-5
    tensors = [*ends(n_embd, 49152, _QUANT), Tensor("output_norm.bias", (n_embd,), "F32")]
    for index in range(n_block):
        tensors += attention(index, n_embd, heads, 128, _QUANT)
        tensors += norms(index, n_embd, "ffn_norm")
        tensors += ffn_matrices(index, n_embd, n_ff, _QUANT)[1:]  # without a gate
        tensors += biases(index, attn_q=n_embd, attn_k=512, attn_v=512, attn_output=n_embd)
        tensors += biases(index, attn_norm=n_embd, ffn_norm=n_embd, ffn_up=n_ff, ffn_down=n_embd)
    return write_gguf(path, meta, tensors)
