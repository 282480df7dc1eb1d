"""Model files with the shapes of real models: the tensors and metadata llama.cpp asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gguf.layers import (
    LATENT,
    attention,
    common,
    ends,
    experts,
    ffn,
    ffn_matrices,
    latent_attention,
    mamba,
    moe,
    norms,
    ssm,
)
from tests.gguf.writer import Tensor, Value, build, write_gguf

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Tensor",
    "Value",
    "build",
    "deepseek2_like",
    "gemma3_like",
    "gpt_oss_like",
    "jamba_like",
    "llama_like",
    "mamba_like",
    "qwen3moe_like",
    "tiny_llama",
    "write_gguf",
]


def llama_like(
    path: Path,
    *,
    n_block: int = 80,
    n_embd: int = 8192,
    n_head: int = 64,
    n_head_kv: int = 8,
    n_ff: int = 28672,
    n_vocab: int = 128256,
    quant: str = "Q4_K",
    tied: bool = False,
) -> Path:
    """A dense llama; the defaults are Llama-3-70B."""
    meta = common("llama", n_block, n_embd, heads=(n_head, n_head_kv), n_ff=n_ff, n_vocab=n_vocab)
    meta["llama.rope.dimension_count"] = n_embd // n_head
    tensors = ends(n_embd, n_vocab, quant, tied=tied)
    for index in range(n_block):
        tensors += attention(index, n_embd, (n_head, n_head_kv), n_embd // n_head, quant)
        tensors += ffn(index, n_embd, n_ff, quant)
    return write_gguf(path, meta, tensors)


def tiny_llama(path: Path) -> Path:
    """A llama of four blocks, for tests that only need some model."""
    return llama_like(path, n_block=4, n_embd=512, n_head=8, n_head_kv=4, n_ff=1024, n_vocab=1000)


def gemma3_like(
    path: Path,
    *,
    n_block: int = 62,
    n_embd: int = 5376,
    n_head: int = 32,
    n_head_kv: int = 16,
    head_dim: int = 128,
    n_ff: int = 21504,
    n_vocab: int = 262208,
    window: int = 1024,
    quant: str = "Q4_K",
) -> Path:
    """A gemma3 with sliding windows and a tied output; the defaults are Gemma-3-27B."""
    meta = common("gemma3", n_block, n_embd, heads=(n_head, n_head_kv), n_ff=n_ff, n_vocab=n_vocab)
    meta |= {
        "gemma3.attention.key_length": head_dim,
        "gemma3.attention.value_length": head_dim,
        "gemma3.attention.sliding_window": window,
    }
    tensors = ends(n_embd, n_vocab, quant, tied=True)
    for index in range(n_block):
        tensors += attention(index, n_embd, (n_head, n_head_kv), head_dim, quant)
        tensors += norms(index, head_dim, "attn_q_norm", "attn_k_norm")
        tensors += norms(index, n_embd, "post_attention_norm", "post_ffw_norm")
        tensors += ffn(index, n_embd, n_ff, quant)
    return write_gguf(path, meta, tensors)


def qwen3moe_like(
    path: Path,
    *,
    n_block: int = 48,
    n_embd: int = 2048,
    n_head: int = 32,
    n_head_kv: int = 4,
    head_dim: int = 128,
    n_ff: int = 768,
    n_expert: int = 128,
    n_expert_used: int = 8,
    n_vocab: int = 151936,
    quant: str = "Q4_K",
) -> Path:
    """A qwen3moe; the defaults are Qwen3-30B-A3B."""
    meta = common(
        "qwen3moe", n_block, n_embd, heads=(n_head, n_head_kv), n_ff=6144, n_vocab=n_vocab
    )
    meta |= experts("qwen3moe", n_expert, n_expert_used, n_ff)
    meta |= {"qwen3moe.attention.key_length": head_dim, "qwen3moe.attention.value_length": head_dim}
    tensors = ends(n_embd, n_vocab, quant)
    for index in range(n_block):
        tensors += attention(index, n_embd, (n_head, n_head_kv), head_dim, quant)
        tensors += norms(index, head_dim, "attn_q_norm", "attn_k_norm")
        tensors += moe(index, n_embd, n_ff, n_expert, quant)
    return write_gguf(path, meta, tensors)


def deepseek2_like(
    path: Path,
    *,
    n_block: int = 61,
    n_embd: int = 7168,
    n_head: int = 128,
    n_ff: int = 18432,
    n_ff_expert: int = 2048,
    n_expert: int = 256,
    n_expert_used: int = 8,
    n_dense: int = 3,
    n_vocab: int = 129280,
    quant: str = "Q4_K",
) -> Path:
    """A deepseek2 with multi-head latent attention; the defaults are DeepSeek-R1."""
    meta = common("deepseek2", n_block, n_embd, heads=(n_head, 1), n_ff=n_ff, n_vocab=n_vocab)
    meta |= experts("deepseek2", n_expert, n_expert_used, n_ff_expert)
    meta |= LATENT | {
        "deepseek2.leading_dense_block_count": n_dense,
        "deepseek2.expert_shared_count": 1,
    }
    tensors = ends(n_embd, n_vocab, quant)
    for index in range(n_block):
        tensors += latent_attention(index, n_embd, n_head, quant)
        if index < n_dense:
            tensors += ffn(index, n_embd, n_ff, quant)
            continue
        tensors += moe(index, n_embd, n_ff_expert, n_expert, quant)
        tensors += ffn_matrices(index, n_embd, n_ff_expert, quant, suffix="_shexp")
    return write_gguf(path, meta, tensors)


def gpt_oss_like(
    path: Path,
    *,
    n_block: int = 24,
    n_embd: int = 2880,
    n_expert: int = 32,
    n_vocab: int = 201088,
    window: int = 128,
) -> Path:
    """A gpt-oss with MXFP4 experts and alternating windows; the defaults are gpt-oss-20b."""
    n_head, n_head_kv, head_dim = 64, 8, 64
    meta = common(
        "gpt-oss", n_block, n_embd, heads=(n_head, n_head_kv), n_ff=n_embd, n_vocab=n_vocab
    )
    meta |= experts("gpt-oss", n_expert, 4, n_embd)
    meta |= {
        "gpt-oss.attention.key_length": head_dim,
        "gpt-oss.attention.value_length": head_dim,
        "gpt-oss.attention.sliding_window": window,
        "gpt-oss.rope.dimension_count": head_dim,
    }
    tensors = ends(n_embd, n_vocab, "Q8_0")
    for index in range(n_block):
        block = f"blk.{index}"
        tensors += attention(index, n_embd, (n_head, n_head_kv), head_dim, "Q8_0")
        tensors += norms(index, n_embd, "post_attention_norm")
        widths = {"q": n_head * head_dim, "k": n_head_kv * head_dim, "v": n_head_kv * head_dim}
        tensors += [
            Tensor(f"{block}.attn_{name}.bias", (width,), "F32")
            for name, width in (widths | {"output": n_embd}).items()
        ]
        tensors.append(Tensor(f"{block}.attn_sinks.weight", (n_head,), "F32"))
        routed = moe(index, n_embd, n_embd, n_expert, "MXFP4", norm=False)
        tensors += routed
        tensors += [
            Tensor(row.name.replace("weight", "bias"), row.shape[1:], "F32") for row in routed
        ]
    return write_gguf(path, meta, tensors)


def mamba_like(
    path: Path,
    *,
    n_block: int = 64,
    n_embd: int = 2560,
    n_vocab: int = 50280,
    quant: str = "Q8_0",
) -> Path:
    """A mamba without attention; the defaults are Mamba-2.8B."""
    meta = common("mamba", n_block, n_embd, heads=(0, 0), n_ff=0, n_vocab=n_vocab) | ssm(
        "mamba", n_embd
    )
    tensors = ends(n_embd, n_vocab, quant, tied=True)
    for index in range(n_block):
        tensors += norms(index, n_embd, "attn_norm")
        tensors += mamba(index, n_embd, quant)
    return write_gguf(path, meta, tensors)


def jamba_like(
    path: Path,
    *,
    n_block: int = 32,
    n_embd: int = 4096,
    n_ff: int = 14336,
    n_expert: int = 16,
    n_vocab: int = 65536,
    quant: str = "Q4_K",
) -> Path:
    """A jamba: one attention block in eight, experts in every second; defaults Jamba-1.5-mini."""
    n_head, n_head_kv = n_embd // 128, n_embd // 512
    attends = [index % 8 == 4 for index in range(n_block)]
    meta = common("jamba", n_block, n_embd, heads=(n_head, 0), n_ff=n_ff, n_vocab=n_vocab) | ssm(
        "jamba", n_embd
    )
    meta |= {"jamba.expert_count": n_expert, "jamba.expert_used_count": 2}
    meta["jamba.attention.head_count_kv"] = [n_head_kv if it else 0 for it in attends]
    tensors = ends(n_embd, n_vocab, quant)
    for index, attending in enumerate(attends):
        if attending:
            tensors += attention(index, n_embd, (n_head, n_head_kv), 128, quant)
        else:
            tensors += norms(index, n_embd, "attn_norm")
            tensors += mamba(index, n_embd, quant)
            tensors += norms(index, n_embd // 16, "ssm_dt_norm")
            tensors += norms(index, 16, "ssm_b_norm", "ssm_c_norm")
        if index % 2:
            tensors += moe(index, n_embd, n_ff, n_expert, quant)
        else:
            tensors += ffn(index, n_embd, n_ff, quant)
    return write_gguf(path, meta, tensors)
