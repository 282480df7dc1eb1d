"""All model files that estimates are held against llama.cpp with, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.gguf import dense, ggufs, hybrids, mixtures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECIPES: Final[dict[str, Callable[[Path], Path]]] = {
    "cohere2": dense.cohere2_like,
    "command_r": dense.command_r_like,
    "deepseek2": ggufs.deepseek2_like,
    "falcon_h1": hybrids.falcon_h1_like,
    "gemma2": dense.gemma2_like,
    "gemma3": ggufs.gemma3_like,
    "glm4moe": mixtures.glm4moe_like,
    "gpt_oss": ggufs.gpt_oss_like,
    "granitehybrid": hybrids.granitehybrid_like,
    "jamba": ggufs.jamba_like,
    "lfm2": hybrids.lfm2_like,
    "llama": ggufs.llama_like,
    "llama4": mixtures.llama4_like,
    "mamba": ggufs.mamba_like,
    "mamba2": hybrids.mamba2_like,
    "mixtral": mixtures.mixtral_like,
    "nemotron_h": hybrids.nemotron_h_like,
    "olmo2": dense.olmo2_like,
    "phi3": dense.phi3_like,
    "qwen2": dense.qwen2_like,
    "qwen3": dense.qwen3_like,
    "qwen3moe": ggufs.qwen3moe_like,
    "rwkv7": hybrids.rwkv7_like,
    "starcoder2": dense.starcoder2_like,
}
"""Each writes a file of real shapes to a path and returns the path."""

SAME_ARCHITECTURE: Final = frozenset({"mixtral"})
"""Those of an architecture that another one is of too: mixtral is a llama to llama.cpp."""
